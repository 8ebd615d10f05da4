"""``examples/delay_queue.py`` does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.own_redis import OwnRedis
from tests.support.process import Processes
from tests.support.wait import wait_until

INVOICES = ("invoice for order 1, attempt 1", "invoice for order 1, attempt 2")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.timeout(120)
def test_the_example(processes: Processes, own_redis: OwnRedis):
    base = own_redis.url.rsplit("/", 1)[0]
    env = {"BROKER_URL": f"{base}/0", "STORE_URL": f"{base}/1"}
    beat = processes.beat("delay_queue", "-s", str(processes.directory / "beat"), cwd=EXAMPLES, env=env)
    beat.wait_for_log("beat_started", 40)
    worker = processes.worker("delay_queue", cwd=EXAMPLES, env=env)
    import os

    root = str(EXAMPLES.parent)
    done = subprocess.run(
        [sys.executable, "delay_queue.py"],
        capture_output=True,
        text=True,
        cwd=EXAMPLES,
        env={**os.environ, **env, "PYTHONPATH": root},
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    assert "cancelled: True" in done.stdout
    assert done.stdout.count(" delay_queue.") == 4
    for said in (
        "charging order 1",
        "nobody at home for parcel 7",
        "delivered parcel 7 at try 2",
        "reminding alice",
        *INVOICES,
    ):
        wait_until(lambda said=said: said in worker.text, 40, processes.tails, every=0.1)
    assert "mallory" not in worker.text

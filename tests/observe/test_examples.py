"""The examples about monitoring do what they say, as real processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.project import PATIENCE
from tests.observe.conftest import ANY, address_of
from tests.observe.scraped import scrape
from tests.packaging.test_contracts import CHECKOUT
from tests.support.brokers import Broker
from tests.support.ports import free_port
from tests.support.process import Processes
from tests.support.wait import wait_until

EXAMPLES = CHECKOUT / "examples"


def healthcheck(*args: str) -> tuple[int, str]:
    command = [sys.executable, str(EXAMPLES / "healthcheck.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.store("redis")
@pytest.mark.timeout(150)
def test_prometheus_metrics_and_healthcheck(processes: Processes, redis_broker: Broker, redis_url: str, tmp_path: Path):
    port, directory = free_port(), tmp_path / "metrics"
    directory.mkdir()
    env = {"BROKER_URL": redis_broker.url, "STORE_URL": redis_url}
    counting = {**env, "PROMETHEUS_MULTIPROC_DIR": str(directory), "WORKER_PORT": str(port)}
    worker = processes.worker("prometheus_metrics", "-c", "2", pool="prefork", cwd=EXAMPLES, env=counting)
    schedule = str(tmp_path / "schedule")
    beat = processes.beat("prometheus_metrics", "-s", schedule, cwd=EXAMPLES, env={**env, "HTTP_ADDRESS": ANY})
    address = address_of(beat)

    wait_until(lambda: healthcheck(address)[0] == 0, PATIENCE, lambda: f"{healthcheck(address)}\n{beat.tail()}")
    code, said = healthcheck("--page", "ready", address)
    assert (code, "ok" in said) == (0, True), said

    moody = "prometheus_metrics.moody"
    wait_until(
        lambda: (
            scrape(address)("pyncette_retried_total", task_name=moody) >= 1
            and scrape(address)("pyncette_finished_total", task_name=moody) >= 1
        ),
        60,
        processes.tails,
        every=0.3,
    )
    worked = scrape(f"127.0.0.1:{port}")
    assert worked("pyncette_started_total", task_name=moody) >= 2
    assert worked("pyncette_reported_total", task_name=moody, outcome="failed") >= 1
    assert worked("pyncette_repository_ops_total", operation="apply") >= 2

    assert beat.terminate() == 0
    code, said = healthcheck(address)
    assert (code, "silent" in said) == (1, True), said
    assert worker.terminate(20) == 0


def test_healthcheck_of_nobody():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, said = healthcheck("--timeout", "0.2", f"127.0.0.1:{silent.getsockname()[1]}")
    assert (code, "silent" in said) == (1, True)

"""``examples/heartbeat.py`` does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.own_redis import OwnRedis
from tests.support.process import Processes

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.store("redis")
@pytest.mark.broker("redis")
@pytest.mark.timeout(120)
@pytest.mark.full_matrix
def test_the_example_of_heartbeats(processes: Processes, own_redis: OwnRedis):
    base = own_redis.url.rsplit("/", 1)[0]
    env = {"BROKER_URL": f"{base}/0", "STORE_URL": f"{base}/1"}
    worker = processes.worker("heartbeat", "-c", "3", pool="prefork", cwd=EXAMPLES, env=env)
    processes.beat("heartbeat", "-s", str(processes.directory / "beat"), cwd=EXAMPLES, env=env)
    worker.wait_for_log("careless: done at attempt 2", 60.0)
    worker.wait_for_log("automatic: done at attempt 1", 10.0)
    worker.wait_for_log("cooperative: done at attempt 1", 10.0)
    said = worker.text
    assert said.count("the lease was lost at attempt 1: I touch nothing any more") == 1
    assert "done at attempt 1" not in "".join(line for line in said.splitlines() if "careless" in line)
    assert said.index("the lease was lost") < said.index("careless: done at attempt 2")
    assert "report_dropped" in said, "what the careless attempt still had to say is not taken"

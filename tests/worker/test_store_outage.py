"""The store is away for 40 s while tasks run: they go on, report when it is back, and none of them runs twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis
from tests.support.process import Processes
from tests.support.wait import stays
from tests.worker.fleet import Fleet
from tests.worker.support import Workshop

pytestmark = [pytest.mark.faults, pytest.mark.full_matrix, pytest.mark.timeout(240)]

#: Seconds.
OUTAGE = 40.0
TASKS = {"ends-early": (3.0, 15.0), "ends-late": (3.0, 35.0), "outlives": (3.0, 60.0)}


@pytest.mark.parametrize("lease", [60.0, 9.0], ids=["the default lease", "a lease that ends meanwhile"])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_a_store_that_is_away_for_40_seconds(
    tmp_path: Path,
    processes: Processes,
    quiet_broker: Broker,
    own_persistent_redis: OwnRedis,
    delivery: str,
    lease: float,
):
    workshop = Workshop(tmp_path, processes, quiet_broker, own_persistent_redis.url, founded=False)
    fleet = Fleet(workshop).write(TASKS, pyncette_delivery=delivery, pyncette_lease=lease, pyncette_claim_time=2)
    fleet.start_workers("w1", "w2")
    fleet.start_beats()
    fleet.until(lambda: len(fleet.lines("began")) == len(TASKS), "all of them run")
    running = {line["entry"]: line for line in fleet.lines("began")}
    own_persistent_redis.kill()
    stays(lambda: all(process.alive for process in fleet.everybody()), OUTAGE, every=0.5)
    assert {line["entry"] for line in fleet.lines("ended")} == {"ends-early", "ends-late"}
    own_persistent_redis.start()
    back_at = time.time()

    def remembered(name: str) -> bool:
        return bool(fleet.history(running[name]["due"], name))

    fleet.until(lambda: remembered("ends-early") and remembered("ends-late"), "their reports are written", 15.0)
    reported = time.time() - back_at
    fleet.until(lambda: remembered("outlives"), "and the last one's when it ends", 60.0)
    assert reported < 10.0
    starts = fleet.starts()
    for name, line in running.items():
        assert starts[name, line["due"]] == 1, f"{name} is not started again"
        (last,) = fleet.history(line["due"], name)
        assert (last.outcome, last.attempt) == ("succeeded", 1)
    assert set(starts.values()) == {1}
    assert fleet.says("terminat") == 0, "nobody was stopped"
    if lease > OUTAGE:
        assert fleet.says("lease_lost") == 0
    assert all(process.alive for process in fleet.everybody())

"""Two beats and two gated workers, over each broker; a busy worker, or its child, is killed."""

from __future__ import annotations

import logging
import os
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.worker.fleet import Fleet
from tests.worker.support import Workshop

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

logger = logging.getLogger(__name__)

#: Seconds. Celery may notice a lost child only when it looks after its pool, each five seconds; the lease is longer.
LEASE = 6.0
EVERY = 3.0
RUNS = 2.0
#: So long after it began the busy one is killed: half-way.
KILLED_AFTER = 1.0
#: A lost run is completed within its lease and so many seconds from the kill.
COMPLETED_AFTER = 2.0


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.broker("rabbitmq"))])
def workshop(request: pytest.FixtureRequest, tmp_path: Path, processes: Processes, quiet_broker: Broker) -> Workshop:
    """The store is a Redis of our own; it is the broker too unless that is RabbitMQ."""
    broker = quiet_broker if request.param == "redis" else request.getfixturevalue("rabbitmq_broker")
    return Workshop(tmp_path, processes, broker, quiet_broker.url, founded=False)


def begun(workshop: Workshop, delivery: str, late: bool, lease: float) -> Fleet:
    fleet = Fleet(workshop).write(
        {"busy": (EVERY, RUNS)},
        task_acks_late=late,
        pyncette_delivery=delivery,
        pyncette_catch_up="all",
        pyncette_lease=lease,
        pyncette_claim_time=2,
        pyncette_start_within=4,
    )
    fleet.start_workers("w1", "w2")
    fleet.start_beats()
    return fleet


def kill(fleet: Fleet, line: dict[str, Any], victim: str) -> None:
    if victim == "worker":
        fleet.worker_of(line).kill()
    else:
        os.kill(line["pid"], signal.SIGKILL)


def a_busy_one_is_killed(workshop: Workshop, delivery: str, victim: str, late: bool, lease: float = LEASE) -> None:
    fleet = begun(workshop, delivery, late, lease)
    busy = fleet.one_busy(after=1, for_seconds=KILLED_AFTER)
    before = workshop.store.now()
    kill(fleet, busy, victim)
    killed_at, due = time.time(), busy["due"]

    def gone_on() -> bool:
        return sum(line["due"] > due for line in fleet.lines("ended")) >= 2

    fleet.until(gone_on, "the next ones ran")
    fleet.until(lambda: fleet.history(due), "the lost one is remembered")
    starts = fleet.starts()
    (last,) = fleet.history(due)
    if delivery == "at_most_once":
        assert set(starts.values()) == {1}
        assert (last.outcome, last.reason, last.attempt) == ("abandoned", "started, no outcome", 1)
    else:
        again = fleet.lines("began", due)[-1]
        assert last.outcome == "succeeded"
        assert last.started_at is not None
        assert last.ended_at is not None
        took = [(at - before) / 1000 for at in (last.started_at, last.ended_at)]
        logger.info("a %s killed: started again after %.2f s, completed after %.2f s", victim, *took)
        assert last.ended_at - before <= (lease + COMPLETED_AFTER) * 1000, "by the record's own times"
        assert (again["attempt"], again["token"] > busy["token"]) == (2, True)
        assert starts.pop(("busy", due)) == 2, "once more, and once only"
        assert set(starts.values()) == {1}
        completed = sorted(due for _, due in fleet.ended())
        assert all(round(b - a, 3) == EVERY for a, b in pairwise(completed)), "not one of them is missing"
    assert fleet.overlaps(killed_at) == 0


@pytest.mark.full_matrix
@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("victim", ["worker", "child"])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_a_busy_worker_is_killed(workshop: Workshop, delivery: str, victim: str, late: bool):
    a_busy_one_is_killed(workshop, delivery, victim, late)


@pytest.mark.parametrize("workshop", [pytest.param("rabbitmq", marks=pytest.mark.broker("rabbitmq"))], indirect=True)
def test_a_busy_worker_is_killed_briefly(workshop: Workshop):
    """One of the above, for each day."""
    a_busy_one_is_killed(workshop, "at_least_once", "worker", True, lease=4.0)

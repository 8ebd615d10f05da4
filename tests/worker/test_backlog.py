"""No worker for three leases, and beats that go on: what waits in the queue starts once, whatever was sent again."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.worker.fleet import Fleet
from tests.worker.support import LEASE as WORKERS_LEASE
from tests.worker.support import Workshop

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

#: Seconds.
LEASE = 3.0
EVERY = 2.0


def no_worker_for_three_leases(workshop: Workshop, delivery: str) -> None:
    fleet = Fleet(workshop).write(
        {"busy": (EVERY, 0.1)},
        pyncette_delivery=delivery,
        pyncette_overlap="allow",
        pyncette_lease=LEASE,
        pyncette_claim_time=1,
        pyncette_grace=60,
        pyncette_start_within=1.5,
        pyncette_start_attempts=10,
    )
    fleet.start_beats()
    since = time.monotonic()
    fleet.until(lambda: time.monotonic() - since > 3 * LEASE, "three leases")
    waiting, until = workshop.broker.waiting(), time.time()
    assert any("not_started" in beat.text for beat in fleet.beats), "somebody is told"
    fleet.start_workers("w1")

    def all_of_before() -> bool:
        return fleet.starts().total() > 0 and max(due for _, due in fleet.ended() or {("", 0.0)}) > until

    fleet.until(all_of_before, "what waited has ended")
    fleet.until(lambda: fleet.says("start_refused") > 0, "copies are refused")
    before = {due: count for (_, due), count in fleet.starts().items() if due < until - 0.5}
    assert len(before) >= 3 * LEASE / EVERY - 1
    assert set(before.values()) == {1}, "each once"
    dues = sorted(before)
    assert {round(b - a, 3) for a, b in pairwise(dues)} == {EVERY}, "not one is missing"
    copies = waiting - len(dues)
    assert copies > 0
    assert fleet.says("start_refused") >= copies
    assert {due for _, due in fleet.ended()} >= set(dues)


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.broker("rabbitmq"))])
def workshop(request: pytest.FixtureRequest, tmp_path: Path, processes: Processes, quiet_broker: Broker) -> Workshop:
    broker = quiet_broker if request.param == "redis" else request.getfixturevalue("rabbitmq_broker")
    return Workshop(tmp_path, processes, broker, quiet_broker.url, founded=False)


@pytest.mark.full_matrix
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_what_waited_for_three_leases_starts_once(workshop: Workshop, delivery: str):
    no_worker_for_three_leases(workshop, delivery)


def test_a_queue_that_waits_for_longer_than_the_lease_starts_each_once(
    tmp_path: Path, processes: Processes, quiet_broker: Broker
):
    """Without beats, for each day: every message is there twice."""
    workshop = Workshop(tmp_path, processes, quiet_broker, quiet_broker.url).write()
    tickets = [workshop.run(f"n{number}", 0.1) for number in range(3)]
    for ticket in tickets:
        workshop.send(ticket, 0.1)
    until = time.monotonic() + WORKERS_LEASE / 1000
    workshop.until(lambda: time.monotonic() > until, "a lease has passed")
    worker = workshop.worker("prefork", "-c", "2")
    for ticket in tickets:
        workshop.reported(ticket, "succeeded")
    workshop.until(lambda: worker.text.count("start_refused") == 3, "the copies are refused")
    assert len(workshop.said("began")) == 3

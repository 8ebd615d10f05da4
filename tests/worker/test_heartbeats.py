"""`heartbeat()` and `lease_lost()` as the code of a task sees them, and what they cost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery

from celery_pyncette import LeaseLost, heartbeat, lease_lost
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.records import Key, Record, Ticket, Write
from celery_pyncette.stores.protocol import Query
from celery_pyncette.stores.writes import change_of
from celery_pyncette.worker import hooks
from celery_pyncette.worker.office import office_of
from tests.worker.bench import Bench
from tests.worker.support import LEASE

BOTH = pytest.mark.parametrize("how", ["automatic", "cooperative"])
EACH = pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])


class Work:
    """Runs a test's own steps as the code of a task under a lease."""

    def __init__(self) -> None:
        hooks.connect()
        self.bench = Bench()
        self.clock = self.bench.clock
        self.store = self.bench.store
        self.steps: Callable[[], Any] = lambda: None

        @self.bench.task(name="work")
        def work() -> Any:
            self.calls()
            return self.steps()

        self.task = work
        self.bench.ready()

    def run(self, steps: Callable[[], Any], **changes: Any) -> Ticket:
        self.steps = steps
        ticket = self.bench.run(self.task, **changes)
        assert self.bench.state == "SUCCESS", self.bench.traced
        return ticket

    def calls(self) -> list[str]:
        """What the store was asked since this was last called."""
        calls, self.store.calls = self.store.calls, []
        return calls

    @property
    def record(self) -> Record:
        [record] = self.store.scan(Query(prefix="s:")).records
        return record

    @property
    def lease_ms(self) -> int:
        """How long the lease still is."""
        lease = self.record.lease
        return 0 if lease is None else lease.until - self.clock.now()

    def taken_over(self) -> None:
        """A beat has found the lease ended, and opened the run again."""
        before = self.record
        assert before.run is not None
        again = replace(before.run, attempt=2, started_at=None, nonce=None, token=None)
        self.store.apply([change_of(Key(before.key), before, Write(record=replace(before, run=again, lease=None)))])


@pytest.fixture
def work() -> Work:
    return Work()


def test_an_automatic_lease_is_not_renewed_by_the_task_and_costs_it_nothing(work: Work):
    def steps() -> None:
        for _ in range(20):
            work.clock.advance(LEASE / 1000 / 25)
            heartbeat()
            assert not lease_lost()
        assert work.calls() == []

    work.run(steps)


def test_a_cooperative_lease_lives_as_long_as_the_task_says_so(work: Work):
    """In whole milliseconds: a sixth of the lease lies between two renewals, however often it is called."""

    def steps() -> None:
        for _ in range(100):
            work.clock.advance(LEASE / 1000 / 12)
            heartbeat()
            heartbeat()
            assert work.lease_ms >= LEASE * 5 // 6 - 1
        assert 45 <= len(work.calls()) <= 51
        assert not lease_lost()

    work.run(steps, heartbeat="cooperative", max_run=600_000)


def test_without_calls_a_cooperative_lease_ends(work: Work):
    def steps() -> None:
        work.clock.advance(LEASE / 1000 + 0.1)
        assert work.lease_ms < 0

    work.run(steps, heartbeat="cooperative")


def test_a_cooperative_lease_ends_after_max_run_however_often_the_task_calls(work: Work):
    def steps() -> None:
        for _ in range(100):
            work.clock.advance(0.5)
            heartbeat()
        assert work.lease_ms < 0

    work.run(steps, heartbeat="cooperative", max_run=20_000)


@BOTH
@EACH
def test_a_run_that_was_taken_over_is_lost_for_good(work: Work, how: str, delivery: str):
    def steps() -> None:
        work.clock.advance(LEASE / 1000 + 0.1)
        assert not lease_lost(), "the lease has ended, and no beat has decided"
        work.taken_over()
        work.clock.advance(LEASE / 1000 + 0.1)
        with pytest.raises(LeaseLost, match="'entry': the lease of its run due 1970-01-01T00:16:40.*somebody else"):
            heartbeat()
        assert lease_lost()
        work.calls()
        assert lease_lost()
        assert work.calls() == [], "it is known"

    work.run(steps, heartbeat=how, delivery=delivery)


@BOTH
@EACH
def test_a_store_that_is_away_for_longer_than_the_lease_is_a_loss_at_least_once_only(
    work: Work, how: str, delivery: str
):
    def steps() -> None:
        work.store.away = True
        work.clock.advance(LEASE / 1000 - 0.1)
        assert not lease_lost(), "it is not lost before it has ended"
        heartbeat()
        work.clock.advance(1.2)
        least = delivery == "at_least_once"
        assert lease_lost() is least
        if least:
            with pytest.raises(LeaseLost):
                heartbeat()
        else:
            heartbeat()
        work.store.away = False
        work.clock.advance(1.1)
        assert not lease_lost(), "nobody has taken it"
        heartbeat()

    work.run(steps, heartbeat=how, delivery=delivery)


def test_while_the_store_is_away_it_is_asked_once_a_second_and_not_at_each_call(work: Work):
    def steps() -> None:
        work.store.away = True
        work.clock.advance(LEASE / 1000 + 0.1)
        for _ in range(20):
            lease_lost()
            work.clock.advance(0.1)
        assert len(work.calls()) <= 2 * 3

    work.run(steps)


def test_the_gate_tries_twice_and_no_longer_than_five_seconds():
    """Two tries, of one time-out each, whatever the driver would like to do by itself."""
    app = Celery("tries", broker="memory://", set_as_current=False)
    assert 2 * office_of(app).runtime.settings.client_store_timeout < 5_000
    tries = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            nonlocal tries
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return
                tries += 1

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        app = Celery("tries", broker="memory://", set_as_current=False)
        app.conf.pyncette_store_url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        with pytest.raises(StoreUnavailable):
            office_of(app).store_id()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert tries == 2

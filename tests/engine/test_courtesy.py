"""After the store was away, the workers of running tasks are heard before a beat gives their runs up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.policies import Delivery, Overlap, Rules
from celery_pyncette.core.records import Key
from celery_pyncette.core.starts import Delivery as Handed
from celery_pyncette.core.starts import Granted, start
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.courtesy import SPEAK_FIRST
from celery_pyncette.engine.post import Post
from celery_pyncette.events import Observers, Repeated, UsedUp
from celery_pyncette.stores.protocol import ClaimBatch, ClaimRequest, Founding, Meta
from celery_pyncette.stores.writes import change_of
from tests.engine.desk import Desk, dynamic

LEASE = 9_000
AWARE = Rules(aware=True, overlap=Overlap.FORBID, lease=LEASE, claim_time=2_000)


class Running:
    """A desk with one entry whose run a worker has started."""

    def __init__(self, rules: Rules = AWARE) -> None:
        self.desk = Desk()
        (self.key,) = self.desk.schedule(dynamic("report", rules, every=3600), due_in=-10)
        self.desk.cycle()
        ticket = self.desk.publisher.arrived[-1].ticket
        record = self.desk.record(self.key)
        granted = start(record, Handed(ticket=ticket, task_id=ticket.task_id, retries=0, nonce="n", worker="w"), 0)
        assert isinstance(granted, Granted)
        self.desk.store.apply([change_of(self.key, record, granted.write)])
        self._claim: Callable[[ClaimRequest], ClaimBatch] = self.desk.store.claim

    def away(self, seconds: float) -> None:
        """Nobody gets an answer for so long; the beat asks meanwhile."""

        def refuse(request: ClaimRequest) -> ClaimBatch:
            raise StoreUnavailable("it is away")

        self.desk.store.claim = refuse  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable):
            self.desk.cycle()
        self.desk.clock.advance(seconds)
        self.desk.store.claim = self._claim  # type: ignore[method-assign]

    def cycles(self, seconds: float) -> None:
        """Cycle twice a second."""
        for _ in range(int(seconds * 2)):
            self.desk.cycle()
            self.desk.clock.advance(0.5)

    def another_beat(self) -> Conductor:
        post = Post(
            namespace="ns", store_name="memory", owner="beat-2", fingerprint="", store_id="s", about={}, last_runs=dict
        )
        desk = self.desk
        return Conductor(post, desk.store, desk.book, desk.publisher, Observers([desk.events]), desk.clock)

    @property
    def given_up(self) -> bool:
        return bool(self.desk.events.of(Repeated) or self.desk.events.of(UsedUp))


@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_run_whose_lease_ended_while_the_store_was_away_is_left_to_its_worker_for_a_while(delivery: Delivery) -> None:
    running = Running(Rules(aware=True, overlap=Overlap.FORBID, lease=LEASE, delivery=delivery))
    running.away(40.0)
    running.cycles(SPEAK_FIRST - 0.5)
    run = running.desk.record(running.key).run
    assert run is not None
    assert run.is_running
    assert not running.given_up
    running.cycles(2.0)
    assert running.given_up


def test_without_a_broker_nothing_is_claimed_and_the_store_may_have_been_away_too() -> None:
    running = Running()
    desk, conductor = running.desk, running.another_beat()
    conductor.tick()
    desk.publisher.up = False
    conductor.tick()
    desk.clock.advance(40.0)
    desk.publisher.up = True
    conductor.tick()
    assert not running.given_up
    desk.clock.advance(SPEAK_FIRST)
    conductor.tick()
    assert running.given_up


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "kept waiting"])
def test_a_beat_that_starts_while_the_store_is_away_waits_too(refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running()
    conductor, store, clock = running.another_beat(), running.desk.store, running.desk.clock
    prepare = store.prepare

    def away(founding: Founding | None) -> Meta:
        clock.advance(40.0)
        if refused:
            raise StoreUnavailable("it is away")
        return prepare(founding)

    with monkeypatch.context() as patch:
        patch.setattr(store, "prepare", away)
        conductor.tick()
    conductor.tick()
    assert not running.given_up
    clock.advance(SPEAK_FIRST)
    conductor.tick()
    assert running.given_up


def test_a_beat_that_starts_while_the_store_answers_takes_an_ended_lease_for_what_it_is() -> None:
    running = Running()
    running.desk.clock.advance(40.0)
    running.another_beat().tick()
    assert running.given_up


def test_without_an_outage_it_is_given_up_when_its_lease_ends() -> None:
    running = Running()
    running.desk.clock.advance(LEASE / 1000)
    running.desk.cycle()
    assert running.given_up


def test_other_entries_do_not_wait() -> None:
    running = Running()
    running.desk.schedule(dynamic("plain"), due_in=1_000)
    running.away(40.0)
    running.desk.cycle()
    assert running.desk.sent()[-1] == "plain"


def test_a_claim_that_was_answered_late_counts_as_an_absence() -> None:
    running = Running()

    def slow(request: ClaimRequest) -> ClaimBatch:
        running.desk.clock.advance(LEASE / 1000)
        return running._claim(request)

    running.desk.store.claim = slow  # type: ignore[method-assign]
    running.desk.cycle()
    assert not running.given_up


def test_a_store_that_comes_and_goes_does_not_hide_a_lost_run_for_ever() -> None:
    running = Running()
    for _ in range(4):
        running.away(LEASE / 1000)
        running.cycles(0.5)
    assert running.given_up


def test_a_renewal_in_time_keeps_the_run() -> None:
    from celery_pyncette.core.starts import renew

    running = Running()
    running.away(40.0)
    running.cycles(1.0)
    record = running.desk.record(Key(running.key))
    assert record.run is not None
    assert record.run.token is not None
    write = renew(record, record.run.token, LEASE, record.epoch)
    assert write is not None
    running.desk.store.apply([change_of(running.key, record, write)])
    running.cycles(LEASE / 1000 - 1.0)
    assert not running.given_up

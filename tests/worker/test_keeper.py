"""What keeps leases alive, notices that they are lost, and writes what could not be written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_pyncette.core.errors import CorruptRecord, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Outcome, Record, Ticket, Write
from celery_pyncette.core.starts import Delivery
from celery_pyncette.engine.holding import Holding, Labels, start_run
from celery_pyncette.engine.keeper import Keeper
from celery_pyncette.engine.reporting import Ending, Report
from celery_pyncette.stores.protocol import Founding
from celery_pyncette.stores.writes import change_of
from celery_pyncette.testing import FakeClock
from tests.worker.bench import Counted
from tests.worker.support import LEASE, STORE_ID, a_record, a_ticket, get, put

LABELS = Labels(entry="entry", task="work")
THIRD = LEASE / 3000


class Desk:
    """A keeper without its thread: ``step`` is called by hand."""

    def __init__(self) -> None:
        self.clock = FakeClock(Instant(2_000_000))
        self.store = Counted(self.clock)
        self.store.prepare(Founding(store_id=STORE_ID))
        self.seen: list[Any] = []
        self.stopped: list[str] = []
        self.keeper = Keeper(lambda: self.store, self.clock, self.seen.append)
        self.keeper.wake = lambda: None  # type: ignore[method-assign]

    def started(self, name: str = "a", **changes: Any) -> Holding:
        """A run that a pool's child has started, and that the keeper watches."""
        holding = self.unwatched(name, **changes)
        self.watch(holding.delivery)
        return holding

    def unwatched(self, name: str = "a", **changes: Any) -> Holding:
        delivery = self.delivery(name, **changes)
        holding = start_run(self.store, self.clock, delivery, LABELS)
        assert isinstance(holding, Holding)
        self.store.calls.clear()
        return holding

    def delivery(self, name: str, **changes: Any) -> Delivery:
        ticket = a_ticket(name, **changes)
        put(self.store, a_record(ticket))
        self.store.calls.clear()
        return Delivery(ticket=ticket, task_id=ticket.task_id, retries=0, nonce=f"nonce-{name}", worker="w@host")

    def watch(self, delivery: Delivery) -> None:
        self.keeper.watch(delivery, LABELS, lambda: self.stopped.append(delivery.nonce))

    def step(self, seconds: float = THIRD) -> float:
        self.clock.advance(seconds)
        return self.keeper.step()

    def record(self, ticket: Ticket) -> Record:
        return get(self.store, ticket.key)

    def left(self, holding: Holding) -> int:
        """Milliseconds of lease that are left."""
        lease = self.record(holding.delivery.ticket).lease
        return 0 if lease is None else lease.until - self.clock.now()

    def change(self, ticket: Ticket, **changes: Any) -> None:
        """Somebody else writes the record."""
        record = self.record(ticket)
        write = Write(record=replace(record, **changes), lease_for=LEASE if "lease" not in changes else None)
        if record.lease is None or "lease" in changes:
            write = Write(record=replace(record, **changes))
        self.store.apply([change_of(record.key, record, write)])
        self.store.calls.clear()

    def take_over(self, ticket: Ticket) -> None:
        """A beat decides that the run was abandoned, and opens it for the next attempt."""
        run = self.record(ticket).run
        assert run is not None
        again = replace(run, attempt=run.attempt + 1, started_at=None, nonce=None, token=None, worker=None)
        self.change(ticket, run=again, lease=None)

    def told(self, name: str) -> list[Any]:
        return [event for event in self.seen if type(event).__name__ == name]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_all_running_tasks_are_renewed_in_one_round(desk: Desk):
    holdings = [desk.started(name) for name in "abc"]
    assert desk.step() == pytest.approx(THIRD)
    assert desk.store.calls == ["fetch", "apply"]
    assert [desk.left(holding) for holding in holdings] == [LEASE] * 3
    desk.store.calls.clear()
    desk.step()
    assert desk.store.calls == ["apply"], "what was renewed once is known"
    assert [desk.left(holding) for holding in holdings] == [LEASE] * 3


def test_nothing_is_asked_before_it_is_time(desk: Desk):
    desk.started()
    assert desk.step(THIRD / 4) == pytest.approx(THIRD * 3 / 4)
    assert desk.store.calls == []


def test_a_task_that_has_ended_is_renewed_no_more(desk: Desk):
    holding = desk.started()
    desk.keeper.ended(holding.delivery.nonce)
    assert desk.step() > 100
    assert desk.store.calls == []


def test_a_start_that_has_not_come_yet_is_waited_for(desk: Desk):
    delivery = desk.delivery("slow")
    desk.watch(delivery)
    desk.step()
    holding = start_run(desk.store, desk.clock, delivery, LABELS)
    assert isinstance(holding, Holding)
    desk.step()
    assert desk.left(holding) == LEASE
    assert desk.seen == []


def test_the_start_of_another_delivery_is_left_alone(desk: Desk):
    other = desk.unwatched()
    desk.watch(replace(other.delivery, nonce="a copy"))
    desk.step()
    assert desk.left(other) == LEASE - THIRD * 1000


def test_an_edit_is_no_loss(desk: Desk):
    holding = desk.started()
    desk.step()
    desk.change(holding.delivery.ticket, generation="g2", removed=True)
    desk.step()
    assert desk.left(holding) == LEASE
    assert desk.record(holding.delivery.ticket).removed
    assert desk.told("LeaseLost") == []


def test_a_claim_of_a_beat_that_has_not_decided_is_no_loss(desk: Desk):
    holding = desk.started()
    desk.step()
    desk.clock.advance(LEASE / 1000 + 1)
    from celery_pyncette.core.records import Lane
    from celery_pyncette.stores.protocol import ClaimRequest

    claimed = desk.store.claim(ClaimRequest(owner="beat", lane=Lane.ENTRIES, limit=9, lease_ms=10_000))
    assert len(claimed.records) == 1
    desk.keeper.step()
    record = desk.record(holding.delivery.ticket)
    assert record.lease is not None
    assert record.lease.owner == "w@host"


def test_a_run_that_was_taken_over_is_lost_and_told_once(desk: Desk):
    holding = desk.started()
    desk.step()
    desk.take_over(holding.delivery.ticket)
    desk.step()
    desk.step()
    (event,) = desk.told("LeaseLost")
    assert event.entry == "entry"
    assert desk.stopped == []


def test_a_lost_run_is_stopped_if_that_is_asked_for(desk: Desk):
    holding = desk.started(on_lease_lost="terminate")
    desk.step()
    desk.take_over(holding.delivery.ticket)
    desk.step()
    assert desk.stopped == ["nonce-a"]


def test_a_run_that_was_taken_over_before_its_start_was_ever_seen_is_lost_too(desk: Desk):
    """The whole worker slept from the first second on."""
    holding = desk.started(on_lease_lost="terminate")
    desk.take_over(holding.delivery.ticket)
    desk.step(20.0)
    assert desk.stopped == []
    desk.step(1.0)
    assert desk.stopped == ["nonce-a"]
    assert len(desk.told("LeaseLost")) == 1


def test_a_copy_that_the_gate_is_about_to_refuse_is_no_loss(desk: Desk):
    other = desk.unwatched()
    desk.watch(replace(other.delivery, nonce="a copy"))
    desk.step()
    desk.keeper.ended("a copy")
    desk.step()
    assert desk.seen == []


def test_a_run_that_is_over_is_looked_at_again_before_it_is_called_lost(desk: Desk):
    """Its child has reported, a beat has finalised, and the pool has not said so yet."""
    holding = desk.started()
    desk.step()
    desk.change(holding.delivery.ticket, run=None, lease=None)
    assert desk.step() == pytest.approx(1.0)
    assert desk.told("LeaseLost") == []
    desk.keeper.ended("nonce-a")
    desk.step(1.0)
    assert desk.told("LeaseLost") == []


def test_a_run_that_was_used_up_is_lost_at_the_second_look(desk: Desk):
    holding = desk.started(delivery="at_most_once")
    desk.step()
    desk.change(holding.delivery.ticket, run=None, lease=None)
    desk.step()
    desk.step(1.0)
    assert len(desk.told("LeaseLost")) == 1


def test_a_run_that_its_child_has_reported_is_not_lost(desk: Desk):
    holding = desk.started()
    desk.step()
    run = desk.record(holding.delivery.ticket).run
    assert run is not None
    desk.change(holding.delivery.ticket, run=replace(run, outcome=Outcome.SUCCEEDED), lease=None)
    for _ in range(4):
        desk.step()
    assert desk.told("LeaseLost") == []


def test_a_retry_that_was_handed_over_is_not_lost(desk: Desk):
    holding = desk.started(on_lease_lost="terminate")
    desk.step()
    retry = replace(holding.delivery, retries=1, nonce="retry")
    assert isinstance(start_run(desk.store, desk.clock, retry, LABELS), Holding)
    for _ in range(4):
        desk.step()
    assert desk.told("LeaseLost") == []
    assert desk.stopped == []


def test_a_hung_task_is_kept_alive_up_to_max_run_only(desk: Desk):
    holding = desk.started(max_run=4_000)
    for _ in range(3):
        desk.step()
        assert desk.left(holding) == LEASE
    desk.step()
    desk.step()
    assert desk.left(holding) == LEASE - 2_000


def test_a_cooperative_task_is_looked_at_and_not_renewed(desk: Desk):
    holding = desk.started(heartbeat="cooperative")
    desk.step()
    assert desk.store.calls == ["fetch"]
    assert desk.left(holding) == LEASE - THIRD * 1000
    desk.take_over(holding.delivery.ticket)
    desk.step()
    assert len(desk.told("LeaseLost")) == 1


@pytest.mark.parametrize(
    ("delivery", "how", "told", "stopped"),
    [
        ("at_least_once", "warn", 1, 0),
        ("at_least_once", "terminate", 1, 1),
        ("at_most_once", "warn", 0, 0),
        ("at_most_once", "terminate", 0, 0),
    ],
)
def test_a_store_that_is_away_for_longer_than_the_lease(desk: Desk, delivery: str, how: str, told: int, stopped: int):
    holding = desk.started(delivery=delivery, on_lease_lost=how)
    desk.step()
    desk.store.away = True
    for _ in range(10):
        desk.step(0.25)
    assert len(desk.stopped) == stopped == (how == "terminate" and delivery == "at_least_once"), "before it ends"
    for _ in range(10):
        desk.step(0.25)
    assert len(desk.told("LeaseLost")) == told
    desk.store.away = False
    if not stopped:
        desk.step(1.0)
        assert desk.left(holding) == LEASE, "nobody has taken it over: it is ours again"


def test_a_short_outage_is_not_even_told(desk: Desk):
    holding = desk.started(on_lease_lost="terminate")
    desk.step()
    desk.store.away = True
    desk.step()
    desk.store.away = False
    desk.step(0.25)
    assert desk.left(holding) == LEASE
    assert desk.told("LeaseLost") == []
    assert desk.stopped == []


def test_one_record_that_cannot_be_read_costs_no_other(desk: Desk):
    desk.started("bad")
    good = desk.started("good")
    fetch = desk.store.fetch

    def picky(keys: Any) -> Any:
        if "s:bad" in keys:
            raise CorruptRecord("s:bad", "it is")
        return fetch(keys)

    desk.store.fetch = picky  # type: ignore[method-assign]
    desk.step()
    assert desk.left(good) == LEASE


# --- reports ---------------------------------------------------------------------------------------------------------

LOST = Ending(outcome=Outcome.ABANDONED)


def test_the_main_process_reports_for_a_child_that_was_lost(desk: Desk):
    holding = desk.started()
    desk.keeper.ended("nonce-a")
    desk.keeper.owe(holding.delivery, LABELS, LOST)
    desk.keeper.step()
    run = desk.record(holding.delivery.ticket).run
    assert run is not None
    assert run.outcome is Outcome.ABANDONED
    assert [event.outcome for event in desk.told("Reported")] == ["abandoned"]
    assert not desk.keeper.busy


def test_it_says_nothing_for_a_delivery_that_never_started(desk: Desk):
    other = desk.unwatched()
    desk.keeper.owe(replace(other.delivery, nonce="a copy"), LABELS, LOST)
    desk.keeper.step()
    assert desk.record(other.delivery.ticket).run.outcome is None  # type: ignore[union-attr]
    assert not desk.keeper.busy
    assert desk.seen == []


def test_what_was_revoked_before_it_started_is_over(desk: Desk):
    delivery = desk.delivery("a")
    desk.keeper.owe(delivery, LABELS, Ending(outcome=Outcome.REVOKED, unstarted=True))
    desk.keeper.step()
    run = desk.record(delivery.ticket).run
    assert run is not None
    assert run.outcome is Outcome.REVOKED
    assert desk.record(delivery.ticket).ready_at == 0


def test_what_was_revoked_while_another_delivery_runs_changes_nothing(desk: Desk):
    other = desk.unwatched()
    copy = replace(other.delivery, nonce="a copy")
    desk.keeper.owe(copy, LABELS, Ending(outcome=Outcome.REVOKED, unstarted=True))
    desk.keeper.step()
    assert desk.record(other.delivery.ticket).run.outcome is None  # type: ignore[union-attr]


def owed(desk: Desk, holding: Holding, ending: Ending) -> Report:
    return Report(
        delivery=holding.delivery,
        labels=LABELS,
        ending=ending,
        see=desk.seen.append,
        token=holding.token,
        known=holding.record,
    )


def test_a_report_is_tried_until_the_store_is_back(desk: Desk):
    holding = desk.unwatched()
    desk.store.away = True
    desk.keeper.owe_report(owed(desk, holding, Ending(outcome=Outcome.SUCCEEDED)))
    for _ in range(40):
        assert desk.step(1.0) <= 1.0
    desk.store.away = False
    desk.step(1.0)
    assert desk.record(holding.delivery.ticket).run.outcome is Outcome.SUCCEEDED  # type: ignore[union-attr]


def test_the_eta_of_a_retry_does_not_move_while_the_store_is_away(desk: Desk):
    holding = desk.unwatched()
    at = desk.clock.monotonic() + 60
    desk.store.away = True
    desk.keeper.owe_report(owed(desk, holding, Ending(outcome=None, retry_at=at)))
    desk.step(1.0)
    desk.store.away = False
    desk.step(9.0)
    run = desk.record(holding.delivery.ticket).run
    assert run is not None
    assert run.until == 2_000_000 + 60_000 + holding.delivery.ticket.start_within


def test_an_answer_that_was_lost_is_no_loss(desk: Desk):
    holding = desk.unwatched()
    desk.store.lose = 1
    desk.keeper.owe_report(owed(desk, holding, Ending(outcome=Outcome.SUCCEEDED)))
    desk.step(0.0)
    desk.step(1.0)
    assert [type(event).__name__ for event in desk.seen] == ["Reported"]
    assert not desk.keeper.busy


def test_a_report_is_given_up_when_its_lease_has_ended_long_ago(desk: Desk):
    holding = desk.unwatched()
    desk.store.away = True
    desk.keeper.owe_report(owed(desk, holding, Ending(outcome=Outcome.SUCCEEDED)))
    desk.step(590.0)
    assert desk.keeper.busy
    desk.step(20.0)
    assert not desk.keeper.busy
    assert [type(event).__name__ for event in desk.seen] == ["ReportDropped"]


def test_a_chore_is_done_at_once_and_again_and_again(desk: Desk):
    done: list[float] = []
    desk.keeper.every(20.0, lambda store: done.append(desk.clock.monotonic()))
    for _ in range(45):
        desk.step(1.0)
    assert done == [1.0, 21.0, 41.0]


def test_its_thread_does_all_this_by_itself():
    from celery_pyncette.clock import SystemClock
    from tests.support.wait import wait_until

    desk = Desk()
    keeper = Keeper(lambda: desk.store, SystemClock(), desk.seen.append)
    holding = desk.unwatched()
    keeper.owe(holding.delivery, LABELS, LOST)
    wait_until(lambda: desk.told("Reported"), 5.0)
    assert keeper.flush(1.0)


def test_a_chore_that_fails_is_no_outage_for_the_leases(desk: Desk):
    holding = desk.started(on_lease_lost="terminate")
    owed_to = desk.unwatched("b")

    def fails(store: Any) -> None:
        raise StoreUnavailable("it is away")

    desk.keeper.every(20.0, fails)
    desk.keeper.owe_report(owed(desk, owed_to, Ending(outcome=Outcome.SUCCEEDED)))
    for _ in range(3):
        desk.step()
        assert desk.left(holding) == LEASE
    assert desk.stopped == []
    assert [type(event).__name__ for event in desk.seen] == ["Reported"]


def test_a_report_to_a_record_that_cannot_be_read_is_tried_each_second_and_given_up(desk: Desk):
    def unreadable(keys: Any) -> Any:
        raise CorruptRecord(keys[0], "it is")

    desk.keeper.owe_report(owed(desk, desk.unwatched(), Ending(outcome=Outcome.SUCCEEDED)))
    desk.store.fetch = unreadable  # type: ignore[method-assign]
    assert desk.step(0.0) >= 1.0, "not again at once"
    assert desk.keeper.busy
    desk.step(700.0)
    assert not desk.keeper.busy
    assert len(desk.told("ReportDropped")) == 1

"""Entries that are edited while a beat has them in hand, or while one-shots of theirs are there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import OnFailure, Rules
from celery_pyncette.core.records import Key, Lease, Outcome, Pause, Record, Run
from celery_pyncette.core.schedules import Every
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.events import Observers, Skipped
from tests.engine.desk import Desk, dynamic, static
from tests.simulation.book import Book

OVERLAPPING = Rules(aware=True)
REPORT = Key("s:report")


def reconcile(desk: Desk) -> None:
    desk.neighbours.keep()
    Reconciler(desk.store, desk.book, Observers([desk.events])).run()


def test_an_entry_whose_schedule_is_changed_while_its_message_is_sent_goes_on_by_the_new_one(desk: Desk) -> None:
    """It was due already: the occurrence that is on its way is used up, and none is sent twice."""
    [key] = desk.schedule(dynamic("report", every=60))

    def edited(record: Record) -> Record:
        spec = replace(record.spec, schedule=Every(7))
        return replace(record, generation="new", timing="new", spec=spec, anchor=record.due_at)

    desk.publisher.before_each(lambda number, message: desk.edit(key, edited))
    desk.cycle()
    after = desk.record(key)
    assert (after.generation, after.due_at, after.counters.started) == ("new", desk.now + 7_000, 1)
    desk.publisher.before_each(None)
    assert desk.cycle().sent == 0


def with_a_child() -> tuple[Desk, Record]:
    """A static entry with one occurrence in flight, and then a deploy with another schedule of it."""
    desk = Desk(Book([static("report", OVERLAPPING)]))
    reconcile(desk)
    desk.clock.advance(60)
    desk.cycle()
    [child] = desk.all("o:")
    return desk, child


def deployed(desk: Desk, seconds: float = 90) -> Desk:
    """The beat of the next version, once nobody of the old one lives any more."""
    new = desk.beside(Book([static("report", OVERLAPPING, every=40)]))
    desk.clock.advance(seconds)
    reconcile(new)
    new.cycle()
    return new


def test_what_nobody_has_started_of_an_entry_with_another_schedule_ends_as_replaced() -> None:
    desk, child = with_a_child()
    new = deployed(desk)
    assert new.stored(child.key) is None
    assert [(event.key, event.reason) for event in new.events.of(Skipped)] == [(child.key, "replaced")]  # type: ignore[attr-defined]
    assert new.sent() == []


@pytest.mark.parametrize("reported", [True, False])
def test_what_was_started_of_it_goes_on_and_is_never_opened_again(reported: bool) -> None:
    desk, child = with_a_child()
    lease = Lease(owner="w", until=Instant(desk.now + 1_000))
    run = Run(due_at=child.due_at, generation=child.generation, started_at=desk.now, starts=1)
    ended = replace(run, outcome=Outcome.ABANDONED)
    desk.edit(
        child.key, lambda record: replace(record, run=ended if reported else run, lease=None if reported else lease)
    )
    new = deployed(desk)
    for _ in range(12):  # it is the beat's own for a claim time
        new.cycle()
        new.clock.advance(1)
    assert new.stored(child.key) is None
    assert child.key not in [message.record.key for message in new.publisher.arrived]


def test_an_entry_that_is_paused_already_keeps_its_note_when_a_one_shot_fails() -> None:
    pausing = Rules(aware=True, on_failure=OnFailure.PAUSE)
    for pause in (None, Pause(note="holiday")):
        desk = Desk()
        [key] = desk.schedule(dynamic("report", pausing))
        desk.cycle()
        [child] = desk.all("o:")
        desk.edit(key, lambda record, pause=pause: replace(record, paused=pause))  # type: ignore[misc]
        run = Run(due_at=child.due_at, generation=child.generation, started_at=desk.now, starts=1)
        failed = replace(run, outcome=Outcome.FAILED)
        desk.edit(child.key, lambda record, run=failed: replace(record, run=run, lease=None))  # type: ignore[misc]
        desk.cycle()
        paused = desk.record(key).paused
        assert paused is not None
        assert paused.note == ("the run of 2024-01-01T00:00:00.000Z failed" if pause is None else "holiday")

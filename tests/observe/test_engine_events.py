"""What the engine tells while it works: the events that only metrics and health listen to."""

from __future__ import annotations

from typing import Any

import pytest

from celery_pyncette import events
from celery_pyncette.core import edits
from celery_pyncette.core.plans import Sent
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Lane, Pause
from celery_pyncette.core.schedules import Once
from tests.engine.desk import MINUTE, Desk, dynamic
from tests.simulation.book import Entry


@pytest.fixture
def desk() -> Desk:
    return Desk()


def told(desk: Desk, kind: type[events.Event]) -> Any:
    [event] = desk.events.of(kind)
    return event


def test_an_idle_claim_is_told_and_when_there_is_something_next(desk: Desk):
    desk.schedule(dynamic("report"), due_in=5_000)
    desk.cycle()
    claimed = told(desk, events.Claimed)
    assert (claimed.lane, claimed.count, claimed.oldest) == (Lane.ENTRIES.value, 0, None)
    assert claimed.next_ready_at == desk.now + 5_000
    assert told(desk, events.CycleEnded).in_hand == 0


def test_a_claim_tells_since_when_its_oldest_record_is_due(desk: Desk):
    desk.schedule(dynamic("late"), due_in=-3_000)
    desk.schedule(dynamic("later"), due_in=-1_000)
    desk.cycle()
    claimed = told(desk, events.Claimed)
    assert (claimed.count, claimed.oldest) == (2, desk.now - 3_000)


def test_an_entry_that_was_paused_waits_since_its_pause_has_ended(desk: Desk):
    [key] = desk.schedule(dynamic("report"), due_in=1_000)
    desk.edit(key, lambda record: edits.paused(record, Pause(until=desk.now + 2_000)))
    desk.clock.advance(2.5)
    desk.cycle()
    assert told(desk, events.Claimed).oldest == desk.now - 500


def test_a_batch_that_is_published_is_told_before_and_after(desk: Desk):
    desk.schedule(dynamic("a"), dynamic("b"), dynamic("c"))
    desk.publisher.fates["b"] = Sent.FAILED
    during = []
    desk.publisher.before_each(lambda number, message: during.append(len(desk.events.of(events.PublishBegan))))
    desk.cycle()
    began, ended = told(desk, events.PublishBegan), told(desk, events.PublishEnded)
    assert during == [1, 1, 1]
    assert len(began.tasks) == 3
    assert (ended.tasks, ended.sent) == (began.tasks, 2)


def test_a_batch_that_is_broken_off_is_ended_too(desk: Desk):
    desk.schedule(dynamic("a"), dynamic("b"))

    def stop(number: int, message: object) -> None:
        if number == 1:
            raise SystemExit

    desk.publisher.before_each(stop)
    with pytest.raises(SystemExit):
        desk.cycle()
    assert told(desk, events.PublishEnded).sent == 1


def test_a_one_off_that_is_given_up_is_buried(desk: Desk):
    rules = Rules(aware=True, max_attempts=1, start_within=MINUTE, lease=MINUTE, expires=MINUTE)
    [key] = desk.schedule(Entry("once", Once(desk.now), rules))
    desk.cycle()
    for _ in range(20):
        desk.clock.advance(600)
        desk.cycle()
        record = desk.stored(key)
        if record is None or record.dead is not None:
            break
    assert record is not None
    assert record.dead is not None
    buried = told(desk, events.Buried)
    assert (buried.key, buried.entry) == (key, "once")

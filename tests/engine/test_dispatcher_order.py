"""The order of the steps, and what each fate of a message leads to."""

from __future__ import annotations

import pytest

from celery_pyncette.core.plans import Sent
from celery_pyncette.core.policies import CatchUp, Delivery, Rules
from celery_pyncette.core.records import NOBODY, Counters, Lane, Origin
from celery_pyncette.core.schedules import Once
from celery_pyncette.core.settling import SEND_AGAIN
from celery_pyncette.events import Dispatched, Expected, PublishFailed, Skipped, Superseded
from tests.engine.desk import MINUTE, Desk, dynamic
from tests.simulation.book import Entry

AT_MOST = Rules(delivery=Delivery.AT_MOST_ONCE)
AT_LEAST = Rules()
BOTH = pytest.mark.parametrize("rules", [AT_MOST, AT_LEAST], ids=["at most once", "at least once"])


@BOTH
def test_a_due_entry_is_sent_once_and_moves_on(desk: Desk, rules: Rules) -> None:
    [key] = desk.schedule(dynamic("report", rules))
    due = desk.record(key).due_at
    done = desk.cycle()
    assert (done.claimed, done.sent, desk.sent()) == (1, 1, ["report"])
    assert done.wait_ms == MINUTE
    after = desk.record(key)
    assert (after.due_at, after.lease, after.counters) == (due + MINUTE, None, Counters(1, 1, 0))
    assert desk.cycle().claimed == 0


def test_at_most_once_is_used_up_before_it_is_sent(desk: Desk) -> None:
    [key] = desk.schedule(dynamic("report", AT_MOST))
    seen = []
    desk.publisher.before_each(lambda number, message: seen.append(desk.record(key).counters.started))
    desk.cycle()
    assert seen == [1]


def test_at_least_once_is_sent_before_it_is_used_up(desk: Desk) -> None:
    [key] = desk.schedule(dynamic("report", AT_LEAST))
    seen = []
    desk.publisher.before_each(lambda number, message: seen.append(desk.record(key).counters.started))
    desk.cycle()
    assert seen == [0]
    assert desk.record(key).counters.started == 1


@pytest.mark.parametrize(
    ("rules", "fate", "sent_again"),
    [
        (AT_MOST, Sent.FAILED, True),
        (AT_MOST, Sent.UNSURE, False),
        (AT_MOST, Sent.UNBUILDABLE, False),
        (AT_LEAST, Sent.FAILED, True),
        (AT_LEAST, Sent.UNSURE, True),
        (AT_LEAST, Sent.UNBUILDABLE, False),
        (AT_MOST, Sent.VETOED, False),
        (AT_LEAST, Sent.VETOED, False),
    ],
)
def test_what_a_publish_that_did_not_succeed_leads_to(desk: Desk, rules: Rules, fate: Sent, sent_again: bool) -> None:
    [key] = desk.schedule(dynamic("report", rules))
    due = desk.record(key).due_at
    desk.publisher.script(fate)
    done = desk.cycle()
    assert len(desk.events.of(PublishFailed)) == int(fate is not Sent.VETOED)
    if sent_again:
        held = desk.record(key)
        assert (held.due_at, held.counters) == (due, Counters())
        assert held.lease is not None
        assert (held.lease.owner, held.lease.until) == (NOBODY, desk.now + SEND_AGAIN)
        assert done.wait_ms == SEND_AGAIN
        assert desk.cycle().claimed == 0
        desk.clock.advance(SEND_AGAIN / 1000)
        assert desk.cycle().sent == 1
        ids = {message.ticket.task_id for message in desk.publisher.begun}
        assert len(ids) == 1
    after = desk.record(key)
    skipped = int(fate.skips is not None)
    assert (after.due_at, after.counters) == (due + MINUTE, Counters(1, 1 - skipped, skipped))


@pytest.mark.parametrize(("fate", "reason"), [(Sent.UNBUILDABLE, "publish_failed"), (Sent.VETOED, "vetoed")])
@BOTH
def test_a_message_that_will_never_be_sent_is_told_as_skipped(
    desk: Desk, rules: Rules, fate: Sent, reason: str
) -> None:
    [key] = desk.schedule(dynamic("report", rules))
    desk.publisher.script(fate)
    desk.cycle()
    [skipped] = desk.events.of(Skipped)
    assert isinstance(skipped, Skipped)
    assert (skipped.reason, skipped.count) == (reason, 1)
    [line] = desk.record(key).recent
    assert (line.outcome, (line.reason or "").partition(":")[0]) == ("skipped", reason)


@BOTH
def test_what_is_taken_up_and_left_out_is_told_once(desk: Desk, rules: Rules) -> None:
    desk.schedule(dynamic("report", rules), due_in=-10 * MINUTE)
    desk.clock.advance(1)
    desk.cycle()
    [expected], [skipped] = desk.events.of(Expected), desk.events.of(Skipped)
    assert isinstance(expected, Expected)
    assert isinstance(skipped, Skipped)
    assert (expected.count, skipped.count, skipped.reason) == (11, 10, "policy")
    assert len(desk.events.of(Dispatched)) == 1


def test_what_was_put_back_keeps_what_it_skipped(desk: Desk) -> None:
    [key] = desk.schedule(dynamic("report", AT_MOST), due_in=-3 * MINUTE)
    newest = desk.now
    desk.publisher.script(Sent.FAILED)
    desk.cycle()
    assert (desk.record(key).due_at, desk.record(key).counters) == (newest, Counters(3, 0, 3))


def test_a_one_off_at_most_once_that_was_not_sent_comes_back_with_all_it_had(desk: Desk) -> None:
    entry = Entry("letter", Once(desk.now), AT_MOST)
    [key] = desk.schedule(entry)
    desk.clock.advance(3_600)
    desk.publisher.script(Sent.FAILED)
    before = desk.record(key)
    desk.cycle()
    held = desk.record(key)
    assert held.version > before.version
    assert (held.spec, held.due_at, held.removed) == (before.spec, before.due_at, False)
    desk.clock.advance(SEND_AGAIN / 1000)
    assert desk.cycle().sent == 1
    desk.clock.advance(11)
    desk.cycle()
    assert desk.stored(key) is None


def test_with_no_broker_nothing_is_used_up(desk: Desk) -> None:
    keys = desk.schedule(dynamic("once", AT_MOST), dynamic("again", AT_LEAST))
    desk.publisher.up = False
    desk.cycle()
    assert desk.publisher.begun == []
    assert [desk.record(key).counters for key in keys] == [Counters(), Counters()]
    assert len(desk.events.of(PublishFailed)) == 2
    desk.publisher.up = True
    desk.clock.advance(SEND_AGAIN / 1000)
    desk.cycle()
    assert sorted(desk.sent()) == ["again", "once"]


def test_catching_up_with_all_sends_one_after_another_oldest_first(desk: Desk) -> None:
    [key] = desk.schedule(dynamic("report", Rules(catch_up=CatchUp.ALL)), due_in=-2 * MINUTE)
    first = desk.record(key).due_at
    waits = [desk.cycle().wait_ms for _ in range(3)]
    assert desk.publisher.dues == {"report": [first, first + MINUTE, first + 2 * MINUTE]}
    assert waits == [0, 0, MINUTE]


def test_an_edit_between_claim_and_advance_is_kept_and_nothing_is_sent_again(desk: Desk) -> None:
    entry = dynamic("report")
    [key] = desk.schedule(entry)
    other = Entry("report", entry.schedule, payload="other")
    definition = other.definition()

    def edit(number: int, message: object) -> None:
        from celery_pyncette.core.edits import replaced

        desk.edit(key, lambda r: replaced(r, definition, desk.now, other.times(r.anchor), other.rules))

    desk.publisher.before_each(edit)
    desk.cycle()
    after = desk.record(key)
    assert (after.generation, after.counters, after.lease) == (definition.generation, Counters(1, 1, 0), None)
    desk.clock.advance(30)
    assert desk.cycle().claimed == 0


def test_a_record_that_was_removed_meanwhile_stays_removed(desk: Desk) -> None:
    [key] = desk.schedule(dynamic("report"))
    desk.publisher.before_each(lambda number, message: desk.edit(key, lambda r: None))
    desk.cycle()
    assert desk.stored(key) is None
    assert len(desk.events.of(Superseded)) == 1


def test_who_lost_the_lease_meanwhile_does_not_advance(desk: Desk) -> None:
    [key] = desk.schedule(dynamic("report"))
    second = desk.beside()

    def overtaken(number: int, message: object) -> None:
        desk.clock.advance(11)
        desk.publisher.before_each(None)
        second.cycle()

    desk.publisher.before_each(overtaken)
    desk.cycle()
    assert desk.record(key).counters == Counters(1, 1, 0)
    assert (desk.sent(), second.sent()) == (["report"], ["report"])
    first, copy = desk.publisher.arrived[0].ticket, second.publisher.arrived[0].ticket
    assert first.task_id == copy.task_id


def test_lanes_do_not_wait_for_one_another(desk: Desk) -> None:
    parked = [Entry(f"m{n}", Once(desk.now), origin=Origin.DELAYED) for n in range(250)]
    desk.schedule(*parked, dynamic("report"))
    assert desk.cycle(Lane.ENTRIES).sent == 1
    assert [desk.cycle(Lane.DELAYED).sent for _ in range(3)] == [100, 100, 50]

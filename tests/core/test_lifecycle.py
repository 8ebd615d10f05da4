"""What a beat does about a record: one case for each row of the guarantees' tables 3.2, 3.4, 3.5."""

from __future__ import annotations

from dataclasses import replace
from datetime import timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celery_pyncette.core.attempts import task_id
from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.lifecycle import plan
from celery_pyncette.core.plans import Backend, Plan, Receipt, Sent, Settle
from celery_pyncette.core.policies import CatchUp, Delivery, OnFailure, Overlap, Rules
from celery_pyncette.core.records import (
    NOBODY,
    Counters,
    EntrySpec,
    Key,
    Lane,
    Lease,
    Occurrence,
    Origin,
    Outcome,
    Pause,
    Record,
    Run,
    Token,
)
from celery_pyncette.core.schedules import Every, Once, Schedule
from celery_pyncette.core.settling import SEND_AGAIN, settle
from celery_pyncette.core.taking import DueTimes

NOW = Instant(1_000_000_000)
MINUTE = 60_000
MOST = Rules(delivery=Delivery.AT_MOST_ONCE)
LEAST = Rules()
AWARE = Rules(aware=True, overlap=Overlap.FORBID)
AWARE_MOST = replace(AWARE, delivery=Delivery.AT_MOST_ONCE)
CLAIM = Lease(owner="beat", until=Instant(NOW + 10_000))


def record(due_in: int = 0, schedule: Schedule | None = None, key: str = "d:e", **fields: Any) -> Record:
    spec = EntrySpec(name="e", task="t", origin=Origin.DYNAMIC, schedule=schedule or Every(60))
    due = Instant(NOW + due_in)
    given: dict[str, Any] = {
        "lease": CLAIM,
        "anchor": Instant(due - MINUTE),
        "due_at": due,
        "token": Token(7),
        "created_at": Instant(NOW - 3_600_000),
        "generation": "g",
    }
    return Record(key=Key(key), lane=Lane.ENTRIES, spec=spec, **{**given, **fields})


def run(**fields: Any) -> Run:
    return Run(**{"due_at": Instant(NOW - 1_000), "generation": "g", "until": NOW, **fields})


def times(of: Record) -> DueTimes:
    assert of.spec.schedule is not None
    return times_of(of.spec, of.spec.schedule, timezone.utc, of.anchor)


def planned(of: Record, rules: Rules, backend: Backend | None = None) -> Plan:
    return plan(of, NOW, times(of), rules, backend)


def written(of: Plan) -> Record:
    assert of.first is not None
    assert of.first.record is not None
    return of.first.record


STARTED = {"started_at": Instant(NOW - 500), "starts": 1, "worker": "w", "token": Token(8), "nonce": "n"}
SENT = {"dispatched_at": Instant(NOW - 900)}
OPEN = Counters(1, 0, 0)


@pytest.mark.parametrize(
    ("phase", "of", "ready_at"),
    [
        ("claimed", record(-5), CLAIM.until),
        ("back-off", record(-5, lease=Lease(owner=NOBODY, until=Instant(NOW + 7))), NOW + 7),
        ("running", record(run=run(**STARTED), lease=Lease(owner="w", until=Instant(NOW + 9))), NOW + 9),
        ("reported", record(run=run(outcome=Outcome.FAILED, **STARTED), lease=None), 0),
        ("reported and paused", record(run=run(outcome=Outcome.FAILED), lease=None, paused=Pause()), 0),
        ("orphan: removed", record(run=run(**SENT, until=NEVER), lease=None, removed=True), 0),
        ("orphan: replaced", record(run=run(**SENT, until=NEVER), lease=None, generation="h"), 0),
        ("orphan before held", record(run=run(until=NEVER), lease=None, generation="h", paused=Pause()), 0),
        ("held", record(run=run(), lease=None, paused=Pause(until=Instant(NOW + 3))), NOW + 3),
        ("to send", record(run=run(until=Instant(NOW + 4), poll_at=Instant(0)), lease=None), NOW + 4),
        ("sent: until", record(run=run(**SENT, until=Instant(NOW + 4)), lease=None), NOW + 4),
        ("sent: poll", record(run=run(**SENT, until=Instant(NOW + 4), poll_at=Instant(NOW + 2)), lease=None), NOW + 2),
        ("removed", record(lease=None, removed=True, due_at=NEVER), 0),
        ("dead letter", record(lease=None, dead=Instant(NOW + 8), due_at=NEVER), NOW + 8),
        ("resting: paused", record(lease=None, paused=Pause(until=Instant(NOW + 90))), NOW + 90),
        ("resting: paused, due later", record(99, lease=None, paused=Pause(until=Instant(NOW + 90))), NOW + 99),
        ("resting: exhausted", record(lease=None, due_at=NEVER), NEVER),
        ("waiting", record(33, lease=None), NOW + 33),
    ],
)
def test_ready_at(phase: str, of: Record, ready_at: int) -> None:
    assert of.ready_at == ready_at, phase


# --- rows 1 and 2: reported, or its lease ended ---


@pytest.mark.parametrize(
    ("outcome", "rules", "ends", "paused"),
    [
        (Outcome.SUCCEEDED, AWARE, True, False),
        (Outcome.SUCCEEDED, AWARE_MOST, True, False),
        (Outcome.FAILED, AWARE, True, False),
        (Outcome.FAILED, AWARE_MOST, True, False),
        (Outcome.FAILED, replace(AWARE, on_failure=OnFailure.PAUSE), True, True),
        (Outcome.FAILED, replace(AWARE_MOST, on_failure=OnFailure.PAUSE), True, True),
        (Outcome.FAILED, replace(AWARE, on_failure=OnFailure.RETRY), False, False),
        (Outcome.FAILED, replace(AWARE, on_failure=OnFailure.RETRY, max_attempts=1), True, False),
        (Outcome.ABANDONED, AWARE, False, False),
        (Outcome.ABANDONED, replace(AWARE, max_attempts=1), True, False),
        (Outcome.ABANDONED, AWARE_MOST, True, False),
        (Outcome.REVOKED, replace(AWARE, on_failure=OnFailure.RETRY), True, False),
    ],
)
def test_row_1_a_reported_run_is_finalised(outcome: Outcome, rules: Rules, ends: bool, paused: bool) -> None:
    of = record(5_000, run=run(outcome=outcome, ended_at=NOW, **STARTED), counters=OPEN)
    after = written(planned(of, rules))
    assert after.lease is None
    assert (after.paused is not None) == paused
    if ends:
        assert (after.run, after.counters) == (None, Counters(1, 1, 0))
        assert after.recent[-1].outcome == outcome.value
    else:
        assert after.run is not None
        assert (after.run.attempt, after.run.failures, after.run.starts) == (2, 1, 1)
        assert after.run.is_open
        wait = 0 if outcome is Outcome.ABANDONED else rules.backoff[0]
        assert (after.run.until, after.run.dispatched_at, after.run.retries) == (NOW + wait, None, 0)


def test_row_2_a_run_whose_lease_ended_was_started_with_no_outcome() -> None:
    of = record(5_000, run=run(**STARTED), counters=OPEN)
    done = planned(of, AWARE_MOST)
    assert written(done).run is None
    assert done.ended is not None
    assert done.ended.reason == "started, no outcome"
    again = written(planned(of, AWARE)).run
    assert again is not None
    assert (again.attempt, again.unstarted, again.until, again.token, again.nonce) == (2, 0, NOW, None, None)


def test_row_2_it_is_given_up_after_max_attempts_starts() -> None:
    of = record(5_000, run=run(failures=4, **{**STARTED, "starts": 5}), counters=OPEN)
    done = planned(of, AWARE)
    assert written(done).counters == Counters(1, 1, 0)
    assert done.ended is not None
    assert done.ended.reason == "gave up"


def test_a_one_off_that_is_given_up_is_kept_as_a_dead_letter() -> None:
    of = record(schedule=Once(NOW), due_at=NEVER, run=run(failures=4, **STARTED), counters=OPEN)
    after = written(planned(of, AWARE))
    assert after.dead == NOW + AWARE.dead_letter_ttl
    assert after.ready_at == after.dead


@pytest.mark.parametrize("replan", [True, False])
def test_the_last_row_of_finalise_a_run_of_an_old_definition_is_never_opened_again(replan: bool) -> None:
    of = record(5_000, generation="h", run=run(replan=replan, outcome=Outcome.ABANDONED, **STARTED), counters=OPEN)
    after = written(planned(of, AWARE))
    assert (after.run, after.counters) == (None, Counters(1, 1, 0))
    assert after.due_at == (NOW - 1_000 if replan else of.due_at)
    succeeded = replace(of, run=run(replan=replan, outcome=Outcome.SUCCEEDED, **STARTED))
    assert written(planned(succeeded, AWARE)).due_at == of.due_at


# --- rows 3 to 10: open runs ---


@pytest.mark.parametrize(
    ("rules", "replan", "again"), [(AWARE, True, True), (AWARE, False, False), (AWARE_MOST, True, False)]
)
def test_row_3_an_orphan_ends_as_replaced(rules: Rules, replan: bool, again: bool) -> None:
    of = record(5_000, generation="h", run=run(replan=replan, starts=1, retries=1), counters=OPEN)
    done = planned(of, rules)
    after = written(done)
    assert (after.run, after.counters) == (None, Counters(1, 1, 0))
    assert after.due_at == (NOW - 1_000 if again else of.due_at)
    assert done.ended is not None
    assert done.ended.reason == "replaced"


@pytest.mark.parametrize("backend", [Backend.SUCCESS, Backend.FAILURE])
def test_row_4_the_backend_knows_how_it_ended(backend: Backend) -> None:
    of = record(5_000, run=run(**SENT, until=Instant(NOW + 9)), counters=OPEN)
    assert written(planned(of, AWARE, backend)).counters == Counters(1, 1, 0)


def test_row_5_its_deadline_passed_before_it_started() -> None:
    of = record(5_000, run=run(deadline=NOW), counters=OPEN)
    done = planned(of, AWARE)
    assert written(done).counters == Counters(1, 0, 1)
    assert done.skips is not None
    assert done.skips.reason.value == "deadline"
    started = replace(of, run=run(deadline=NOW, starts=1))
    assert planned(started, AWARE).send is not None


def test_row_6_the_backend_says_that_it_is_being_worked_on() -> None:
    of = record(5_000, run=run(**SENT), counters=OPEN)
    held = written(planned(of, AWARE, Backend.STARTED))
    assert held.run is not None
    assert held.run.until == NOW + AWARE.lease
    late = replace(of, run=run(dispatched_at=Instant(NOW - AWARE.max_run)))
    after = written(planned(late, AWARE, Backend.STARTED))
    assert after.run != replace(late.run or run(), until=Instant(NOW + AWARE.lease))


def test_row_7_only_a_poll_was_due() -> None:
    of = record(5_000, run=run(**SENT, until=Instant(NOW + 99_999), poll_at=NOW), counters=OPEN)
    after = written(planned(of, replace(AWARE, gated=False)))
    assert after.run is not None
    assert after.lease is None
    assert (after.run.until, after.run.poll_at) == (NOW + 99_999, NOW + 5_000)


def test_row_8_the_only_send_without_a_mark_is_of_unknown_fate_and_waits() -> None:
    of = record(5_000, run=run(), counters=OPEN)
    done = planned(of, AWARE_MOST)
    after = written(done)
    assert done.send is None
    assert after.run is not None
    assert (after.run.dispatched_at, after.run.until) == (NOW, NOW + AWARE_MOST.start_cap)
    marked = planned(replace(of, run=run(**SENT)), AWARE_MOST)
    assert written(marked).counters == Counters(1, 0, 1)
    assert marked.skips is not None
    assert marked.skips.reason.value == "never_started"


def test_row_9_nobody_started_it_in_time() -> None:
    done = planned(record(5_000, run=run(**SENT), counters=OPEN), AWARE)
    after = written(done)
    assert done.settle is Settle.MARK
    assert done.send is not None
    assert after.run is not None
    assert (done.send.attempt, after.run.attempt, after.run.unstarted, after.lease) == (2, 2, 1, CLAIM)


def test_row_10_not_known_to_be_sent_the_same_attempt_goes_out() -> None:
    of = record(5_000, run=run(attempt=3), counters=OPEN)
    done = planned(of, AWARE)
    assert done.send == Occurrence(key=of.key, generation="g", due_at=Instant(NOW - 1_000), attempt=3)


# --- rows 11 to 15: no run ---


@pytest.mark.parametrize("of", [record(removed=True, due_at=NEVER), record(dead=NOW, due_at=NEVER)])
def test_row_11_what_is_removed_or_dead_is_deleted(of: Record) -> None:
    first = planned(of, LEAST).first
    assert first is not None
    assert first.record is None


@pytest.mark.parametrize("of", [record(1), record(paused=Pause()), record(dead=Instant(NOW + 1), due_at=NEVER)])
def test_row_12_nothing_to_do_gives_the_lease_back(of: Record) -> None:
    done = planned(of, LEAST)
    assert written(done) == replace(of, lease=None)
    assert done.send is None


def test_row_13_at_most_once_advances_and_then_publishes() -> None:
    of = record()
    done = planned(of, MOST)
    after = written(done)
    assert (after.due_at, after.lease, after.counters) == (NOW + MINUTE, None, Counters(1, 1, 0))
    assert (done.send, done.settle) == (Occurrence(key=of.key, generation="g", due_at=NOW), Settle.ADVANCED)


def test_row_13_at_least_once_publishes_and_then_advances_as_holder() -> None:
    of = record()
    done = planned(of, LEAST)
    assert (done.first, done.settle) == (None, Settle.ADVANCE)
    write = settled(done, of, Sent.SENT, LEAST)
    assert write.record is not None
    assert (write.record.due_at, write.record.lease, write.record.counters) == (NOW + MINUTE, None, Counters(1, 1, 0))


def settled(done: Plan, stored: Record, sent: Sent, rules: Rules) -> Any:
    return settle(done, stored, Receipt(sent=sent, task_id="id"), NOW, times(stored), rules)


def test_row_13_an_edit_meanwhile_is_kept_and_one_that_moved_it_keeps_its_due_time() -> None:
    of = record()
    done = planned(of, LEAST)
    edited = replace(of, generation="h", version=9, payload="new")
    assert settled(done, edited, Sent.SENT, LEAST).record.generation == "h"
    moved = replace(edited, due_at=Instant(NOW + 5))
    assert settled(done, moved, Sent.SENT, LEAST).record == replace(moved, lease=None)


def test_row_13_a_lease_that_was_given_back_meanwhile_is_not_ours() -> None:
    """Our advance was applied and its answer lost; then somebody made the entry anew, due at the same time."""
    of = record()
    done = planned(of, LEAST)
    assert settled(done, replace(of, lease=None), Sent.SENT, LEAST) is None
    others = replace(of, lease=Lease(owner="another beat", until=CLAIM.until))
    assert settled(done, others, Sent.SENT, LEAST) is None


def test_an_old_occurrence_of_an_entry_that_became_a_one_off_leaves_the_one_off() -> None:
    of = record(schedule=Once(Instant(NOW + 9_999)))
    for rules in (LEAST, MOST):
        done = planned(of, rules)
        write = settled(done, of, Sent.SENT, rules) if done.first is None else done.first
        assert (write.record.due_at, write.record.removed) == (NOW + 9_999, False)


@pytest.mark.parametrize("rules", [AWARE, AWARE_MOST])
def test_row_14_a_due_result_aware_entry_is_recorded_published_marked(rules: Rules) -> None:
    done = planned(record(), replace(rules, expires=7_000))
    after = written(done)
    assert (after.due_at, after.lease, after.counters) == (NOW + MINUTE, CLAIM, OPEN)
    assert after.run is not None
    assert (after.run.attempt, after.run.deadline, after.run.dispatched_at) == (1, NOW + 7_000, None)
    marked = settled(done, after, Sent.SENT, rules).record
    assert (marked.lease, marked.run.dispatched_at) == (None, NOW)
    assert marked.run.until == NOW + (7_000 if rules.at_most_once else rules.start_within)


@pytest.mark.parametrize(("rules", "put_back"), [(AWARE, False), (AWARE_MOST, True)])
def test_row_14_a_publish_that_certainly_failed(rules: Rules, put_back: bool) -> None:
    done = planned(record(), rules)
    write = settled(done, written(done), Sent.FAILED, rules)
    assert write.lease_for == SEND_AGAIN
    assert (write.record.run is None) == put_back
    assert write.record.counters == (Counters() if put_back else OPEN)
    assert write.record.due_at == (NOW if put_back else NOW + MINUTE)


def test_row_15_with_allow_one_change_makes_a_one_shot_and_moves_on() -> None:
    done = planned(record(), replace(AWARE, overlap=Overlap.ALLOW))
    assert done.first is not None
    [child] = done.first.creates
    after = written(done)
    assert (after.due_at, after.lease, after.run, done.send) == (NOW + MINUTE, None, None, None)
    assert (child.key[:6], child.due_at, child.generation, child.run) == ("o:d:e@", NOW, "g", None)
    assert child.one_shot


def test_one_occurrence_of_an_entry_is_due_once_however_late() -> None:
    """It has the schedule of its entry, and none of the entry's later due times."""
    done = planned(record(-10 * MINUTE, key="o:d:e@1@g", anchor=Instant(NOW - 30 * MINUTE)), LEAST)
    assert done.taken is not None
    assert (done.taken.fire, done.taken.next_due, done.taken.skips) == (NOW - 10 * MINUTE, NEVER, None)


def test_copies_have_the_same_task_id_and_attempts_of_a_result_aware_run_do_not() -> None:
    first = Occurrence(key=Key("d:e"), generation="g", due_at=NOW)
    second = replace(first, attempt=2)
    assert task_id("ns", first, False) == task_id("ns", second, False)
    assert task_id("ns", first, True) != task_id("ns", second, True)
    others = [replace(first, generation="h"), replace(first, due_at=Instant(NOW + 1)), replace(first, key=Key("d:f"))]
    assert len({task_id("ns", one, False) for one in (first, *others)} | {task_id("other", first, False)}) == 5


# --- laws ---


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 500),
    st.integers(0, 20_000),
    st.sampled_from(Delivery),
    st.lists(st.sampled_from(list(Sent)), min_size=1, max_size=20),
)
def test_all_never_loses_an_occurrence(every: int, late: int, delivery: Delivery, fates: list[Sent]) -> None:
    """Whatever becomes of the messages: each due time is started, skipped as never sent, or still to come."""
    rules = Rules(delivery=delivery, catch_up=CatchUp.ALL)
    due = Instant(NOW - late)
    of = record(-late, schedule=Every(every), anchor=Instant(due - every * 1000))
    first, settled_dues = of.due_at, list[Instant]()
    for fate in fates:
        of = replace(of, lease=CLAIM)
        if of.due_at > NOW:
            break
        done = planned(of, rules)
        assert done.send is not None
        after = of if done.first is None else written(done)
        write = settle(done, after, Receipt(sent=fate, task_id=""), NOW, times(of), rules)
        after = after if write is None else write.record  # type: ignore[assignment]
        counters = after.counters
        assert counters.expected == counters.started + counters.skipped
        if after.due_at != of.due_at:
            settled_dues.append(done.send.due_at)
        of = after
    assert settled_dues == [first + n * every * 1000 for n in range(len(settled_dues))]
    assert of.due_at == first + len(settled_dues) * every * 1000
    assert of.counters.expected == len(settled_dues)

"""How occurrences and runs end: deadlines, what counts, what is kept; beside the rows of `test_lifecycle`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.plans import Plan, Sent, Settle
from celery_pyncette.core.policies import CatchUp, OnFailure, Rules
from celery_pyncette.core.records import Counters, Outcome, Recent, Record
from celery_pyncette.core.schedules import Every, Once
from tests.core.test_lifecycle import (
    AWARE,
    AWARE_MOST,
    CLAIM,
    LEAST,
    MINUTE,
    MOST,
    NOW,
    OPEN,
    SENT,
    STARTED,
    planned,
    record,
    run,
    settled,
    written,
)

BOTH = pytest.mark.parametrize("rules", [AWARE, AWARE_MOST], ids=["least", "most"])
LATER = Instant(NOW + MINUTE)


def skipped(done: Plan) -> tuple[int, str] | None:
    return None if done.skips is None else (done.skips.count, done.skips.reason.value)


@BOTH
def test_a_deadline_that_is_a_time_is_taken_as_it_is(rules: Rules) -> None:
    after = written(planned(record(-MINUTE), replace(rules, expires_at=NOW + 9)))
    assert after.run is not None
    assert after.run.deadline == NOW + 9


@pytest.mark.parametrize("rules", [LEAST, MOST, AWARE, AWARE_MOST], ids=["least", "most", "aware", "aware most"])
def test_after_a_deadline_that_is_a_time_nothing_is_sent_and_all_that_is_due_is_skipped(rules: Rules) -> None:
    done = planned(record(-3 * MINUTE), replace(rules, expires_at=NOW, catch_up=CatchUp.ALL))
    assert (done.send, skipped(done)) == (None, (4, "deadline"))
    after = written(done)
    assert (after.due_at, after.run, after.counters) == (NOW + MINUTE, None, Counters(4, 0, 4))


def test_a_deadline_in_seconds_counts_from_the_first_dispatch_so_that_a_run_that_is_caught_up_can_run() -> None:
    done = planned(record(-60 * MINUTE), replace(AWARE, expires=5_000))
    assert done.send is not None
    after = written(done)
    assert after.run is not None
    assert after.run.deadline == NOW + 5_000


@pytest.mark.parametrize("outcome", [Outcome.ABANDONED, Outcome.FAILED])
def test_all_attempts_share_one_deadline(outcome: Outcome) -> None:
    of = record(MINUTE, run=run(outcome=outcome, deadline=LATER, **STARTED), counters=OPEN)
    again = written(planned(of, replace(AWARE, on_failure=OnFailure.RETRY))).run
    assert again is not None
    assert (again.attempt, again.deadline) == (2, LATER)
    unstarted = planned(record(MINUTE, run=run(deadline=LATER, **SENT)), AWARE)
    assert written(unstarted).run == run(attempt=2, unstarted=1, deadline=LATER)


@pytest.mark.parametrize("reason", ["ignored", "rejected", "unknown task"])
def test_what_failed_for_a_reason_of_its_own_is_never_retried(reason: str) -> None:
    of = record(MINUTE, run=run(outcome=Outcome.FAILED, reason=reason, **STARTED), counters=OPEN)
    done = planned(of, replace(AWARE, on_failure=OnFailure.RETRY))
    after = written(done)
    assert (after.run, after.counters, done.again) == (None, Counters(1, 1, 0), None)
    assert (after.recent[-1].outcome, after.recent[-1].reason) == ("failed", reason)


@BOTH
def test_a_one_off_that_is_past_its_deadline_is_kept_as_a_dead_letter(rules: Rules) -> None:
    of = record(schedule=Once(NOW), due_at=NEVER, run=run(deadline=NOW, **SENT), counters=OPEN)
    after = written(planned(of, rules))
    assert (after.dead, after.counters, after.run) == (NOW + rules.dead_letter_ttl, Counters(1, 0, 1), None)


def test_a_one_off_that_nobody_started_is_none() -> None:
    of = record(schedule=Once(NOW), due_at=NEVER, run=run(**SENT), counters=OPEN)
    done = planned(of, AWARE_MOST)
    assert done.first is not None
    assert done.first.record is None
    assert skipped(done) == (1, "never_started")


@pytest.mark.parametrize("rules", [LEAST, MOST, AWARE, AWARE_MOST], ids=["least", "most", "aware", "aware most"])
def test_a_one_off_whose_message_cannot_be_built_is_kept_as_a_dead_letter(rules: Rules) -> None:
    of = record(schedule=Once(NOW))
    done = planned(of, rules)
    stored = of if done.first is None else written(done)
    after = settled(done, stored, Sent.UNBUILDABLE, rules).record
    assert (after.dead, after.counters) == (NOW + rules.dead_letter_ttl, Counters(1, 0, 1))
    assert after.run is None


@pytest.mark.parametrize("rules", [LEAST, MOST, AWARE, AWARE_MOST], ids=["least", "most", "aware", "aware most"])
def test_a_message_that_cannot_be_built_is_skipped_whatever_the_delivery(rules: Rules) -> None:
    of = record()
    done = planned(of, rules)
    after = settled(done, of if done.first is None else written(done), Sent.UNBUILDABLE, rules).record
    assert (after.due_at, after.run, after.counters) == (LATER, None, Counters(1, 0, 1))
    assert after.lease is None


def test_a_dead_letter_rests_until_its_time_and_is_deleted_then() -> None:
    of = record(due_at=NEVER, dead=Instant(NOW + 1))
    assert written(planned(of, LEAST)) == replace(of, lease=None)
    done = planned(replace(of, dead=NOW), LEAST)
    assert done.first is not None
    assert done.first.record is None


@pytest.mark.parametrize(
    ("catch_up", "due_at", "counters"),
    [
        (CatchUp.NONE, LATER, Counters(4, 1, 3)),
        (CatchUp.LATEST, NOW - 2 * MINUTE, Counters(1, 1, 0)),
        (CatchUp.ALL, NOW - 2 * MINUTE, Counters(1, 1, 0)),
    ],
)
def test_what_became_due_while_the_last_run_was_going_on_is_for_catch_up(
    catch_up: CatchUp, due_at: Instant, counters: Counters
) -> None:
    """NONE skips it as overlap when the run ends; LATEST keeps one, ALL keeps all of them due."""
    of = record(-2 * MINUTE, run=run(outcome=Outcome.SUCCEEDED, **STARTED), counters=OPEN)
    rules = replace(AWARE, catch_up=catch_up)
    done = planned(of, rules)
    after = written(done)
    assert (after.due_at, after.run, after.counters) == (due_at, None, counters)
    assert skipped(done) == ((3, "overlap") if catch_up is CatchUp.NONE else None)
    if catch_up is not CatchUp.NONE:
        following = planned(replace(after, lease=CLAIM), rules)
        assert following.send is not None
        assert following.send.due_at == (NOW if catch_up is CatchUp.LATEST else due_at)


def test_the_history_is_bounded() -> None:
    lines = tuple(Recent(due_at=Instant(n), outcome="sent") for n in range(10))
    rules = replace(LEAST, recent_runs=3)
    of = record(recent=lines)
    recent = settled(planned(of, rules), of, Sent.SENT, rules).record.recent
    assert [line.due_at for line in recent] == [8, 9, NOW]


def test_what_was_skipped_is_none_of_the_most_runs() -> None:
    of = record(-2 * MINUTE, counters=Counters(5, 1, 4))
    of = replace(of, spec=replace(of.spec, max_runs=3))
    after = settled(planned(of, LEAST), of, Sent.SENT, LEAST).record  # two skipped, one sent: the second run
    assert (after.counters, after.due_at) == (Counters(8, 2, 6), LATER)
    last = replace(after, due_at=NOW, lease=CLAIM)
    assert settled(planned(last, LEAST), last, Sent.SENT, LEAST).record.due_at == NEVER


def test_a_schedule_that_was_changed_while_its_message_was_sent_goes_on_by_the_new_one() -> None:
    """It was due already, so the edit has let its due time stand."""
    of = record()
    done = planned(of, LEAST)
    assert done.settle is Settle.ADVANCE
    other = replace(of, generation="h", timing="other", spec=replace(of.spec, schedule=Every(7)), anchor=NOW)
    after = settled(done, other, Sent.SENT, LEAST).record
    assert (after.due_at, after.generation) == (NOW + 7_000, "h")


def test_a_new_message_of_a_run_whose_celery_retry_was_lost_has_been_retried_by_nobody() -> None:
    of = record(MINUTE, run=run(retries=2, starts=1, attempt=1, **SENT), counters=OPEN)
    again = written(planned(of, AWARE)).run
    assert again is not None
    assert (again.attempt, again.retries, again.starts) == (2, 0, 1)


def accounts(of: Record) -> bool:
    open_runs = int(of.run is not None)
    return of.counters.expected == of.counters.started + of.counters.skipped + open_runs


@pytest.mark.parametrize("outcome", list(Outcome)[:4])
@pytest.mark.parametrize("fields", [{}, {"generation": "h"}, {"key": "o:d:e@1@g", "due_at": NEVER}], ids=str)
@pytest.mark.parametrize("catch_up", list(CatchUp))
@BOTH
def test_expected_is_used_up_and_skipped_and_open_after_each_end(
    outcome: Outcome, fields: dict[str, Any], catch_up: CatchUp, rules: Rules
) -> None:
    of = record(-2 * MINUTE, run=run(outcome=outcome, **STARTED), counters=OPEN, **{"removed": False, **fields})
    done = planned(of, replace(rules, catch_up=catch_up))
    assert done.first is not None
    if done.first.record is not None:
        assert accounts(done.first.record)

"""The rows of the table of decisions that concern open runs, one by one; and when a message expires."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.core.attempts import RUBBISH, SKEW, message_expiry
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.lifecycle import plan
from celery_pyncette.core.plans import Backend, Plan, Receipt, Sent, Settle
from celery_pyncette.core.policies import CatchUp, OnFailure, Rules
from celery_pyncette.core.records import Counters, EntrySpec, Key, Lane, Origin, Outcome, Pause, Record, Run, Skip
from celery_pyncette.core.settling import settle
from celery_pyncette.core.taking import OneTime
from tests.results.desk import AT_MOST, AT_MOST_GATED, AWARE, GATED

DUE = Instant(1_000_000)
NOW = Instant(1_100_000)
LATER = OneTime(Instant(9_000_000))
SENT_AT = Instant(NOW - 60_000)
RUN = Run(due_at=DUE, generation="g", dispatched_at=SENT_AT, until=NOW, poll_at=NEVER)
ANY = [AWARE, GATED, AT_MOST, AT_MOST_GATED]
NAMES = ["least", "least gated", "most", "most gated"]


def record(run: Run | None = RUN, key: str = "d:report", **changes: object) -> Record:
    spec = EntrySpec(name="report", task="t", origin=Origin.DYNAMIC)
    made = Record(key=Key(key), lane=Lane.ENTRIES, generation="g", spec=spec, run=run, counters=Counters(expected=1))
    return replace(made, due_at=LATER.at, **changes)  # type: ignore[arg-type]


def decided(run: Run, rules: Rules, backend: Backend | None = None, now: Instant = NOW, **changes: object) -> Plan:
    return plan(record(run, **changes), now, LATER, rules, backend)


def written(decision: Plan) -> Record:
    assert decision.first is not None
    assert decision.first.record is not None
    return decision.first.record


@pytest.mark.parametrize("rules", ANY, ids=NAMES)
@pytest.mark.parametrize(
    ("state", "outcome", "started"),
    [
        (Backend.SUCCESS, Outcome.SUCCEEDED, 1),
        (Backend.FAILURE, Outcome.FAILED, 1),
        (Backend.REVOKED, Outcome.REVOKED, 0),
    ],
)
def test_row_4_what_the_backend_says_ends_the_run(rules: Rules, state: Backend, outcome: Outcome, started: int) -> None:
    decision = decided(replace(RUN, task_id="an id"), rules, state)
    after = written(decision)
    assert after.run is None
    assert after.counters == Counters(expected=1, started=started, skipped=1 - started)
    assert after.recent[-1].outcome == outcome.value
    assert after.recent[-1].task_id == "an id"
    assert decision.ended is not None
    assert decision.ended.outcome is outcome


def test_row_4_an_end_counts_before_mark_and_before_the_deadline() -> None:
    unmarked = replace(RUN, dispatched_at=None, deadline=Instant(NOW - 1))
    assert written(decided(unmarked, AWARE, Backend.SUCCESS)).recent[-1].outcome == "succeeded"


def test_row_4_a_failure_is_repeated_under_retry_with_its_back_off_and_a_new_attempt() -> None:
    rules = replace(AWARE, on_failure=OnFailure.RETRY, backoff=(10_000, 15_000))
    once = decided(replace(RUN, attempt=3, unstarted=2), rules, Backend.FAILURE)
    run = written(once).run
    assert run == Run(due_at=DUE, generation="g", attempt=4, failures=1, starts=1, until=Instant(NOW + 10_000))
    assert once.again is not None
    assert once.again.outcome is Outcome.FAILED
    twice = written(decided(replace(RUN, failures=1), rules, Backend.FAILURE)).run
    assert twice is not None
    assert twice.until == NOW + 15_000
    last = decided(replace(RUN, failures=4), rules, Backend.FAILURE)
    assert last.ended is not None
    assert last.ended.reason == "gave up"


def test_row_4_a_failure_pauses_the_entry_with_a_note() -> None:
    decision = decided(RUN, replace(AWARE, on_failure=OnFailure.PAUSE), Backend.FAILURE)
    pause = written(decision).paused
    assert pause is not None
    assert pause.note == "the run of 1970-01-01T00:16:40.000Z failed"
    assert decision.pause == pause


def test_row_5_a_deadline_skips_what_nobody_started() -> None:
    late = replace(RUN, deadline=Instant(NOW - 1), until=Instant(NOW + 1000))
    for rules in ANY:
        decision = decided(late, rules)
        assert decision.skips is not None
        assert decision.skips.reason is Skip.DEADLINE


def test_row_5_what_is_at_work_misses_no_deadline() -> None:
    decision = decided(replace(RUN, deadline=Instant(NOW - 1)), AWARE, Backend.STARTED)
    run = written(decision).run
    assert run is not None
    assert run.starts == 1
    later = plan(written(decision), Instant(NOW + 60_000), LATER, AWARE, None)
    assert later.send is not None, "at least once: it was started, so it is repeated"


@pytest.mark.parametrize("rules", [AWARE, AT_MOST], ids=["least", "most"])
def test_row_6_started_keeps_the_run_until_max_run(rules: Rules) -> None:
    run = written(decided(RUN, rules, Backend.STARTED)).run
    assert run is not None
    assert run.until == NOW + rules.lease
    assert run.poll_at == NOW + 5_000
    assert run.attempt == 1


def test_row_6_started_before_mark_is_as_good_as_mark() -> None:
    run = written(decided(replace(RUN, dispatched_at=None), AWARE, Backend.STARTED)).run
    assert run is not None
    assert run.dispatched_at == NOW
    assert run.attempt == 1


def test_row_6_after_max_run_a_started_run_is_lost() -> None:
    over = replace(RUN, dispatched_at=Instant(NOW - AWARE.max_run), unstarted=1, attempt=2)
    least = decided(over, AWARE, Backend.STARTED)
    run = written(least).run
    assert run is not None
    assert (run.attempt, run.unstarted, run.failures) == (3, 0, 1), "its old STARTED is not looked at any more"
    assert least.send is None
    most = decided(over, AT_MOST, Backend.STARTED)
    assert most.ended is not None
    assert (most.ended.outcome, most.ended.reason) == (Outcome.ABANDONED, "started, no outcome")


def test_row_7_a_poll_in_between_changes_nothing_but_the_next_one() -> None:
    waiting = replace(RUN, until=Instant(NOW + 50_000), poll_at=NOW)
    decision = decided(waiting, AWARE)
    assert decision.send is None
    assert written(decision).run == replace(waiting, poll_at=Instant(NOW + 5_000))
    assert written(decision).lease is None


def test_row_8_the_last_send_waits_for_the_cap_and_is_told_once() -> None:
    marked = settle(
        decided(replace(RUN, dispatched_at=None), replace(AT_MOST_GATED, start_attempts=2)),
        record(replace(RUN, dispatched_at=None, attempt=2)),
        Receipt(sent=Sent.SENT, task_id="an id"),
        NOW,
        LATER,
        replace(AT_MOST_GATED, start_attempts=2),
    )
    assert marked is not None
    assert marked.record is not None
    run = marked.record.run
    assert run is not None
    assert (run.until, run.poll_at, run.task_id) == (NOW + 3_600_000, NOW + 60_000, "an id")
    rules = replace(AT_MOST_GATED, start_attempts=2)
    alert = plan(marked.record, Instant(NOW + 60_000), LATER, rules)
    assert alert.unstarted == run
    assert alert.send is None
    again = plan(written(alert), Instant(NOW + 120_000), LATER, rules)
    assert again.unstarted is None
    over = plan(written(alert), Instant(NOW + 3_600_000), LATER, rules)
    assert over.skips is not None
    assert over.skips.reason is Skip.NEVER_STARTED


def test_row_8_a_celery_retry_that_never_came_was_started_all_the_same() -> None:
    decision = decided(replace(RUN, starts=1, retries=1), AT_MOST_GATED)
    assert decision.ended is not None
    assert decision.ended.outcome is Outcome.ABANDONED
    assert decision.skips is None
    assert written(decision).counters == Counters(expected=1, started=1)


def test_row_9_nobody_started_it() -> None:
    decision = decided(RUN, AWARE)
    assert decision.unstarted == RUN
    assert decision.send is not None
    assert decision.send.attempt == 2
    run = written(decision).run
    assert run is not None
    assert (run.attempt, run.unstarted, run.dispatched_at) == (2, 1, None)


def test_row_9_a_further_send_that_certainly_failed_is_none() -> None:
    rules = replace(AT_MOST_GATED, start_attempts=2)
    decision = decided(RUN, rules)
    stored = replace(written(decision), version=7)
    failed = settle(decision, stored, Receipt(sent=Sent.FAILED, task_id=""), NOW, LATER, rules)
    assert failed is not None
    assert failed.record is not None
    assert failed.record.run == RUN, "so that the next look sends the second attempt, and does not take it for sent"


def test_row_10_not_known_to_be_sent() -> None:
    unmarked = replace(RUN, dispatched_at=None)
    least = decided(unmarked, AWARE)
    assert least.send is not None
    assert least.send.attempt == 1
    assert least.unstarted is None
    most = decided(unmarked, AT_MOST)
    assert most.send is None
    assert written(most).run is not None


def test_a_run_whose_entry_is_no_longer_result_aware_ends() -> None:
    plain = Rules(gated=False)
    decision = decided(RUN, plain)
    assert decision.send is None
    assert decision.ended is not None
    assert decision.ended.reason == "no longer result-aware"


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_a_full_house_is_overlap_and_catch_up_decides(catch_up: CatchUp) -> None:
    rules = replace(AWARE, overlap=Rules().overlap, catch_up=catch_up)
    due = replace(record(None), due_at=DUE, counters=Counters())
    decision = plan(due, NOW, OneTime(DUE), rules, full=True)
    assert decision.send is None
    assert decision.first is not None
    assert decision.first.creates == ()
    if catch_up is CatchUp.NONE:
        assert decision.skips is not None
        assert decision.skips.reason is Skip.OVERLAP
    else:
        assert written(decision).due_at == DUE
        assert decision.first.lease_for == 1_000


def test_a_failed_one_shot_pauses_its_entry_and_not_itself() -> None:
    child = record(RUN, key="o:d:report@1000000@g")
    decision = plan(child, NOW, LATER, replace(AWARE, on_failure=OnFailure.PAUSE), Backend.FAILURE)
    assert decision.pause is not None
    assert written(decision).paused is None


def test_an_entry_that_was_paused_meanwhile_is_released() -> None:
    decision = decided(RUN, AWARE, paused=Pause(until=Instant(NOW + 5)))
    assert decision.send is None


# --- when a message expires -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "rules", "expires"),
    [
        (RUN, AWARE, 60_000 - SKEW),
        (replace(RUN, unstarted=2), AWARE, 240_000 - SKEW),
        (replace(RUN, unstarted=30), AWARE, 3_600_000 - SKEW),
        (RUN, replace(AWARE, start_within=2_000), 1_800),
        (replace(RUN, deadline=Instant(NOW + 9_000)), AWARE, 9_000),
        (replace(RUN, deadline=Instant(NOW + 9_000), starts=1), AWARE, 60_000 - SKEW),
        (RUN, AT_MOST, 3_600_000 - SKEW),
        (replace(RUN, deadline=Instant(NOW + 30_000)), AT_MOST, 27_000),
        (RUN, GATED, None),
        (replace(RUN, deadline=Instant(NOW + 9_000)), GATED, 9_000 + RUBBISH),
        (replace(RUN, deadline=Instant(NOW + 9_000), starts=1), GATED, None),
    ],
)
def test_when_a_message_expires(run: Run, rules: Rules, expires: int | None) -> None:
    assert message_expiry(run, NOW, rules) == expires


@pytest.mark.parametrize("unstarted", [0, 1, 5, 12])
def test_an_old_copy_cannot_start_once_the_next_is_sent(unstarted: int) -> None:
    run = replace(RUN, attempt=unstarted + 1, unstarted=unstarted, dispatched_at=None)
    decision = replace(decided(run, AWARE), settle=Settle.MARK)
    marked = settle(decision, record(run), Receipt(sent=Sent.SENT, task_id=""), NOW, LATER, AWARE)
    assert marked is not None
    assert marked.record is not None
    assert marked.record.run is not None
    expires = message_expiry(run, NOW, AWARE)
    assert expires is not None
    assert NOW + expires < marked.record.run.until


def test_at_most_once_a_lost_retry_is_not_begun_anew_however_many_sends_are_allowed() -> None:
    rules = replace(AT_MOST_GATED, start_attempts=3)
    decision = decided(replace(RUN, starts=1, retries=1), rules)
    assert decision.send is None
    assert decision.ended is not None
    assert decision.ended.outcome is Outcome.ABANDONED
    assert written(decision).counters == Counters(expected=1, started=1)


def test_one_that_was_never_started_is_sent_again_as_often_as_is_allowed() -> None:
    decision = decided(RUN, replace(AT_MOST_GATED, start_attempts=3))
    assert decision.send is not None
    assert decision.send.attempt == 2

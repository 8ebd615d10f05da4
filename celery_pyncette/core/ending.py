"""How a run ends: its outcome is counted, or it is opened again for another attempt."""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.core.attempts import backoff, open_again
from celery_pyncette.core.counting import add, bury, count, finish, is_over, remembered
from celery_pyncette.core.instants import Instant, show
from celery_pyncette.core.plans import Ended, Plan, release
from celery_pyncette.core.policies import CatchUp, OnFailure, Rules
from celery_pyncette.core.records import Outcome, Pause, Recent, Record, Run, Skip, Write
from celery_pyncette.core.taking import DueTimes, Skips, skip_all


def replaced(record: Record, run: Run, now: Instant, rules: Rules) -> Plan:
    """An open run whose definition is gone: an old definition's retry, or one nobody started."""
    again = run.replan and not rules.at_most_once
    return use_up(record, run, never_sent(run), now, rules, reason=Skip.REPLACED.value, due_again=again)


def never_sent(run: Run) -> Outcome:
    """How a run ends for which no further message is sent: what an earlier attempt has started is not skipped."""
    return Outcome.SKIPPED if run.starts == 0 else Outcome.ABANDONED


def finalise(record: Record, run: Run, outcome: Outcome, now: Instant, times: DueTimes, rules: Rules) -> Plan:
    """The run has an outcome: used up by it, or opened again where the policy says so."""
    lost = outcome is Outcome.ABANDONED
    retry = outcome is Outcome.FAILED and rules.on_failure is OnFailure.RETRY and run.reason is None
    if record.removed or run.generation != record.generation:
        due_again = run.replan and (lost or retry) and not rules.at_most_once
        return use_up(record, run, outcome, now, rules, due_again=due_again)
    if (lost or retry) and not rules.at_most_once:
        failures = run.failures + 1
        if failures >= rules.max_attempts:
            return use_up(record, run, outcome, now, rules, reason="gave up", given_up=True)
        wait = 0 if lost else backoff(failures, rules)
        again = Ended(run.due_at, outcome, run.attempt, run.reason)
        opened = replace(record, run=open_again(run, failures, Instant(now + wait)))
        return replace(release(opened), again=again)
    if outcome is Outcome.FAILED and rules.on_failure is OnFailure.PAUSE:
        pause = Pause(note=f"the run of {show(run.due_at)} failed")
        resting = record if record.key.startswith("o:") else replace(record, paused=pause)
        return replace(use_up(resting, run, outcome, now, rules), pause=pause)
    if rules.catch_up is CatchUp.NONE and record.paused is None and record.due_at <= now:
        taken = skip_all(record.due_at, now, times, Skip.OVERLAP)
        return replace(use_up(count(record, taken, now), run, outcome, now, rules), skips=taken.skips, taken=taken)
    return use_up(record, run, outcome, now, rules)


def use_up(
    record: Record,
    run: Run,
    outcome: Outcome,
    now: Instant,
    rules: Rules,
    *,
    reason: str | None = None,
    given_up: bool = False,
    due_again: bool = False,
) -> Plan:
    """The run is over: count it, and delete what has nothing left to do."""
    reason = run.reason if reason is None else reason
    if outcome is Outcome.ABANDONED and reason is None:
        reason = "started, no outcome"
    started = run.starts > 0
    after = replace(
        record,
        run=None,
        lease=None,
        counters=add(record.counters, started=int(started), skipped=int(not started)),
        recent=remembered(record, _line(run, outcome, reason), rules),
        due_at=run.due_at if due_again else record.due_at,
    )
    ended = Ended(run.due_at, outcome, run.attempt, reason)
    dead_end = given_up or (not started and reason == Skip.DEADLINE.value)
    if record.removed:
        write = Write(record=None)
    elif is_over(after):
        write = bury(after, now, rules) if dead_end else finish(after, now)
    else:
        write = Write(record=after)
    skips = None if started else Skips(run.due_at, run.due_at, 1, _skip_of(reason))
    return Plan(record=record, first=write, ended=ended, skips=skips)


def _line(run: Run, outcome: Outcome, reason: str | None) -> Recent:
    """A run that is over, as a line of history."""
    return Recent(
        due_at=run.due_at,
        outcome=outcome.value,
        attempt=run.attempt,
        task_id=run.task_id,
        dispatched_at=run.dispatched_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        worker=run.worker,
        reason=reason,
    )


def _skip_of(reason: str | None) -> Skip:
    try:
        return Skip(reason)
    except ValueError:
        return Skip.NEVER_STARTED

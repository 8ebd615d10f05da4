"""The state machine: what a beat does about a record that it has claimed.

:func:`plan` reads one record and answers what to write before a message is sent, whether to send
one, and how to settle afterwards. Why a record became ready is read off the record, never off its
old lease. Times are the store's. Its parts: `ending` ends a run, `attempts` times the next try,
`counting` keeps the books, `settling` answers the write that follows a publish.

===================================  =====================================  =================================
record                               at most once                           at least once
===================================  =====================================  =================================
run with an outcome                  finalise                               finalise
running, its lease ended             used up: started, no outcome           open again, or given up
open, of an old definition           used up: replaced                      same; due again if ``replan``
open, backend says how it ended      finalise                               finalise
open, not started by its deadline    skipped: deadline                      same
open, the backend says started       wait, until ``max_run``                same
open, nobody started it in time      used up: never started                 next attempt, next task id
open, not known to be sent           its fate is unknown: wait              same attempt, same task id
due, not result-aware                advance, then publish                  publish, then advance as holder
due, result-aware, FORBID            RECORD, publish, MARK                  same
due, result-aware, ALLOW             one-shot record of the occurrence      same
===================================  =====================================  =================================
"""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.core.attempts import at_work, deadline, is_last, is_lone, marked, patience, poll_at
from celery_pyncette.core.counting import add, count, hold_back, skip_write, use
from celery_pyncette.core.ending import finalise, replaced, use_up
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.plans import Backend, Plan, Receipt, Sent, Settle, release
from celery_pyncette.core.policies import CatchUp, Overlap, Rules
from celery_pyncette.core.records import Occurrence, Outcome, Record, Run, Skip, Write
from celery_pyncette.core.taking import DueTimes, Taken, skip_all, take, times_of

#: With as many one-shots as it may have, an overlapping entry looks again after this.
FULL_FOR = 1_000
_ENDED = {Backend.SUCCESS: Outcome.SUCCEEDED, Backend.FAILURE: Outcome.FAILED, Backend.REVOKED: Outcome.REVOKED}


def plan(
    record: Record, now: Instant, times: DueTimes, rules: Rules, backend: Backend | None = None, full: bool = False
) -> Plan:
    """What to do about a claimed record; the first line of the table that fits.

    :param backend: what the result backend says about an open run of ordinary workers.
    :param full: whether an overlapping entry has as many one-shots as it may have.
    """
    run = record.run
    if run is not None:
        if run.outcome is not None:
            return finalise(record, run, run.outcome, now, times, rules)
        if run.started_at is not None:
            return finalise(record, replace(run, ended_at=now), Outcome.ABANDONED, now, times, rules)
        return _open(record, run, now, times, rules, backend)
    if record.removed or (record.dead is not None and record.dead <= now):
        return Plan(record=record, first=Write(record=None))
    if record.dead is not None:
        return release(record)
    if record.paused is not None and record.paused.until > now:
        return release(record)
    if record.due_at > now:
        return release(replace(record, paused=None))
    if full and may_fill(record, now, rules):
        return _full(record, now, times, rules)
    return _due(record, now, times_of(record, times), rules)


def may_fill(record: Record, now: Instant, rules: Rules) -> bool:
    """Whether a claimed record is about to make one more one-shot of itself."""
    idle = record.run is None and not record.removed and record.dead is None and not record.one_shot
    resting = record.paused is not None and record.paused.until > now
    return rules.aware and rules.overlap is Overlap.ALLOW and idle and not resting and record.due_at <= now


def _full(record: Record, now: Instant, times: DueTimes, rules: Rules) -> Plan:
    """As under FORBID: NONE skips what becomes due meanwhile, else it waits, and LATEST or ALL decide."""
    if rules.catch_up is not CatchUp.NONE:
        return Plan(record=record, first=hold_back(record, FULL_FOR))
    taken = skip_all(record.due_at, now, times, Skip.OVERLAP)
    return Plan(record=record, first=skip_write(record, taken, now, rules), taken=taken, skips=taken.skips)


def _due(record: Record, now: Instant, times: DueTimes, rules: Rules) -> Plan:
    if rules.expires_at is not None and rules.expires_at <= now:
        taken = skip_all(record.due_at, now, times, Skip.DEADLINE)
    else:
        taken = take(record.due_at, now, times, rules, record.paused)
    if taken.fire is None:
        return Plan(record=record, first=skip_write(record, taken, now, rules), taken=taken, skips=taken.skips)
    if rules.aware:
        return _due_aware(record, count(record, taken, now), taken, taken.fire, now, rules)
    occurrence = Occurrence(key=record.key, generation=record.generation, due_at=taken.fire)
    if rules.at_most_once:
        return Plan(
            record=record,
            first=use(record, taken, taken.fire, Receipt(sent=Sent.UNSURE, task_id="", at=now), now, rules),
            send=occurrence,
            settle=Settle.ADVANCED,
            taken=taken,
            skips=taken.skips,
        )
    return Plan(record=record, send=occurrence, settle=Settle.ADVANCE, taken=taken, skips=taken.skips)


def _due_aware(record: Record, counted: Record, taken: Taken, fire: Instant, now: Instant, rules: Rules) -> Plan:
    if rules.overlap is Overlap.ALLOW and not record.one_shot:
        child = Record(
            key=one_shot_key(record.key, fire, record.generation),
            lane=record.lane,
            generation=record.generation,
            spec=record.spec,
            timing=record.timing,
            payload=record.payload,
            created_at=now,
            due_at=fire,
            epoch=record.epoch,
        )
        # Started for the entry, and for its ``max_runs``; the record of its own counts what becomes of it.
        parent = replace(counted, counters=add(counted.counters, started=1), lease=None)
        write = Write(record=parent, creates=(child,))
        return Plan(record=record, first=write, taken=replace(taken, fire=None), skips=taken.skips)
    run = Run(due_at=fire, generation=record.generation, deadline=deadline(now, rules), until=now)
    return _send(replace(counted, run=run), run, taken)


def _open(record: Record, run: Run, now: Instant, times: DueTimes, rules: Rules, backend: Backend | None) -> Plan:
    if record.removed or run.generation != record.generation:
        return replaced(record, run, now, rules)
    ended = None if backend is None else _ENDED.get(backend)
    if ended is not None:
        starts = run.starts + (backend is not Backend.REVOKED)
        return finalise(record, replace(run, starts=starts, ended_at=now), ended, now, times, rules)
    if backend is Backend.STARTED:
        run = at_work(run, now, rules)
        record = replace(record, run=run)
        if run.until <= now:
            return finalise(record, replace(run, ended_at=now), Outcome.ABANDONED, now, times, rules)
    if run.starts == 0 and run.deadline is not None and run.deadline <= now:
        return use_up(record, run, Outcome.SKIPPED, now, rules, reason=Skip.DEADLINE.value)
    if record.paused is not None and record.paused.until > now:
        return release(record)
    record = replace(record, paused=None)
    return _wait(record, run, now, rules) if run.until > now else _unstarted(record, run, now, rules)


def _unstarted(record: Record, run: Run, now: Instant, rules: Rules) -> Plan:
    """Nobody started it in time, or it is not known to be sent: the next attempt, or the same one again."""
    if is_last(run, rules):
        if run.dispatched_at is None:
            return release(replace(record, run=marked(run, now, rules)))
        if run.starts:
            return use_up(record, run, Outcome.ABANDONED, now, rules)
        return use_up(record, run, Outcome.SKIPPED, now, rules, reason=Skip.NEVER_STARTED.value)
    if run.dispatched_at is None:
        return _send(replace(record, run=run), run, None)
    if not rules.aware and not rules.gated:
        return use_up(record, replace(run, starts=1), Outcome.ABANDONED, now, rules, reason="no longer result-aware")
    # A new message: it has not been retried by Celery, and what it replaces may have been a retry that was lost.
    again = replace(run, attempt=run.attempt + 1, unstarted=run.unstarted + 1, retries=0, dispatched_at=None)
    return replace(_send(replace(record, run=again), again, None), unstarted=run)


def _wait(record: Record, run: Run, now: Instant, rules: Rules) -> Plan:
    """Only a poll was due, or the one message that there will be was not started in time: that is told once."""
    late = is_lone(run, rules) and run.dispatched_at is not None and now >= run.dispatched_at + patience(run, rules)
    after = replace(run, unstarted=run.attempt) if late else run
    after = replace(after, poll_at=poll_at(after, now, rules))
    return replace(release(replace(record, run=after)), unstarted=run if late else None)


def _send(record: Record, run: Run, taken: Taken | None) -> Plan:
    """RECORD under the claim's lease, then publish, then MARK."""
    occurrence = Occurrence(key=record.key, generation=run.generation, due_at=run.due_at, attempt=run.attempt)
    return Plan(
        record=record,
        first=Write(record=record),
        send=occurrence,
        settle=Settle.MARK,
        taken=taken,
        skips=None if taken is None else taken.skips,
    )

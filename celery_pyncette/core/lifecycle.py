"""The state machine: what a beat does about a record that it has claimed.

:func:`plan` reads one record and answers what to write before a message is sent, whether to send
one, and how to settle afterwards; :func:`settle` answers the write that follows a publish. Why a
record became ready is read off the record, never off its old lease. Times are the store's.

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

import enum
import uuid
from dataclasses import dataclass, replace
from typing import Any

from celery_pyncette.core.instants import NEVER, Instant, show
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.policies import CatchUp, OnFailure, Overlap, Rules
from celery_pyncette.core.records import (
    NOBODY,
    Counters,
    Lease,
    Occurrence,
    Outcome,
    Pause,
    Recent,
    Record,
    Run,
    Skip,
    Write,
)
from celery_pyncette.core.taking import DueTimes, OneTime, Skips, Taken, skip_all, take

#: A publish that failed is tried again after this.
SEND_AGAIN = 5_000
#: With as many one-shots as it may have, an overlapping entry looks again after this.
FULL_FOR = 1_000
#: An expired message is no earlier thrown away by a gated worker than this after the deadline.
RUBBISH = 60_000
#: Workers' clocks may be fast or slow by this, or by a tenth of the wait if that is less.
SKEW = 5_000
#: A one-shot younger than this leaves a tombstone, for a client that asks again about its creation.
TOMBSTONE = 60_000
_IDS = uuid.UUID("6f1f5c0e-2f0b-5d5e-9d57-6a1c5b0d8c11")


class Sent(enum.Enum):
    """What is known about one message after its publish."""

    SENT = "sent"
    """The broker has it."""
    FAILED = "failed"
    """It certainly was not sent."""
    UNSURE = "unsure"
    """The answer was lost: it may have been sent."""
    UNBUILDABLE = "unbuildable"
    """No such message can be built, now or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a publisher answers about one message: what is known, when, by which beat, and the error if any."""

    sent: Sent
    task_id: str
    at: Instant = Instant(0)
    beat: str = ""
    error: str | None = None


class Settle(enum.Enum):
    """What follows a publish."""

    ADVANCE = "advance"
    """At least once: now the occurrence is used up."""
    ADVANCED = "advanced"
    """At most once: it was used up before; a certain failure puts it back."""
    MARK = "mark"
    """Result-aware: note that the attempt is on its way."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run is over, or an occurrence was given up."""

    due_at: Instant
    outcome: Outcome
    attempt: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do about one record: write ``first`` if set, and if that was APPLIED send ``send`` and settle.

    ``expected`` occurrences are taken up by it, ``skips`` of them will not run; ``ended`` says that a
    run is over, ``again`` that it was lost or failed and will be dispatched again, ``unstarted`` that nobody
    started it in time (the run as it was), ``pause`` that its failure pauses the entry: the write does that, but
    the parent of a one-shot is to be paused first.
    """

    record: Record
    first: Write | None = None
    send: Occurrence | None = None
    settle: Settle | None = None
    taken: Taken | None = None
    skips: Skips | None = None
    ended: Ended | None = None
    again: Ended | None = None
    unstarted: Run | None = None
    pause: Pause | None = None


class Backend(enum.Enum):
    """What a result backend says about a run's attempts."""

    SUCCESS = "SUCCESS"
    """One of them returned."""
    FAILURE = "FAILURE"
    """One of them raised for good."""
    STARTED = "STARTED"
    """One of them is being worked on, or will be retried."""
    REVOKED = "REVOKED"
    """Somebody revoked one of them. A copy that expired is no such: it will not start, and that is all."""


def task_id(namespace: str, occurrence: Occurrence, aware: bool) -> str:
    """The Celery task id: the same for every copy of one dispatch; result-aware, a new one per attempt."""
    parts = [namespace, occurrence.key, occurrence.generation, str(occurrence.due_at)]
    if aware:
        parts.append(str(occurrence.attempt))
    return str(uuid.uuid5(_IDS, "\0".join(parts)))


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
            return _finalise(record, run, run.outcome, now, times, rules)
        if run.started_at is not None:
            return _finalise(record, replace(run, ended_at=now), Outcome.ABANDONED, now, times, rules)
        return _open(record, run, now, times, rules, backend)
    if record.removed or (record.dead is not None and record.dead <= now):
        return Plan(record=record, first=Write(record=None))
    if record.dead is not None:
        return _release(record)
    if record.paused is not None and record.paused.until > now:
        return _release(record)
    if record.due_at > now:
        return _release(replace(record, paused=None))
    if full and may_fill(record, now, rules):
        return _full(record, now, times, rules)
    return _due(record, now, _times_of(record, times), rules)


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
    return Plan(record=record, first=_skip_write(record, taken, now, rules), taken=taken, skips=taken.skips)


def _times_of(record: Record, times: DueTimes) -> DueTimes:
    """One occurrence of an entry has the entry's schedule, and is due once."""
    return OneTime(record.due_at) if record.key.startswith("o:") else times


def _due(record: Record, now: Instant, times: DueTimes, rules: Rules) -> Plan:
    if rules.expires_at is not None and rules.expires_at <= now:
        taken = skip_all(record.due_at, now, times, Skip.DEADLINE)
    else:
        taken = take(record.due_at, now, times, rules, record.paused)
    if taken.fire is None:
        return Plan(record=record, first=_skip_write(record, taken, now, rules), taken=taken, skips=taken.skips)
    if rules.aware:
        return _due_aware(record, _count(record, taken, now), taken, taken.fire, now, rules)
    occurrence = Occurrence(key=record.key, generation=record.generation, due_at=taken.fire)
    if rules.at_most_once:
        return Plan(
            record=record,
            first=_use(record, taken, taken.fire, Receipt(sent=Sent.UNSURE, task_id="", at=now), now, rules),
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
        skipped = 0 if taken.skips is None else taken.skips.count
        counters = _add(record.counters, expected=skipped, skipped=skipped)
        parent = replace(counted, counters=counters, lease=None)
        write = Write(record=parent, creates=(child,))
        return Plan(record=record, first=write, taken=replace(taken, fire=None), skips=taken.skips)
    run = Run(due_at=fire, generation=record.generation, deadline=_deadline(now, rules), until=now)
    return _send(replace(counted, run=run), run, taken)


def _open(record: Record, run: Run, now: Instant, times: DueTimes, rules: Rules, backend: Backend | None) -> Plan:
    if record.removed or run.generation != record.generation:
        return _replaced(record, run, now, rules)
    ended = None if backend is None else _ENDED.get(backend)
    if ended is not None:
        starts = run.starts + (backend is not Backend.REVOKED)
        return _finalise(record, replace(run, starts=starts, ended_at=now), ended, now, times, rules)
    if backend is Backend.STARTED:
        run = _at_work(run, now, rules)
        record = replace(record, run=run)
        if run.until <= now:
            return _finalise(record, replace(run, ended_at=now), Outcome.ABANDONED, now, times, rules)
    if run.starts == 0 and run.deadline is not None and run.deadline <= now:
        return _use_up(record, run, Outcome.SKIPPED, now, rules, reason=Skip.DEADLINE.value)
    if record.paused is not None and record.paused.until > now:
        return _release(record)
    record = replace(record, paused=None)
    return _wait(record, run, now, rules) if run.until > now else _unstarted(record, run, now, rules)


def _at_work(run: Run, now: Instant, rules: Rules) -> Run:
    """A run that the backend says is started: it was sent, and misses no deadline any more; over after ``max_run``."""
    sent_at = now if run.dispatched_at is None else run.dispatched_at
    until = max(run.until, Instant(now + rules.lease)) if now < sent_at + rules.max_run else now
    return replace(run, dispatched_at=sent_at, starts=max(1, run.starts), until=until)


def _unstarted(record: Record, run: Run, now: Instant, rules: Rules) -> Plan:
    """Nobody started it in time, or it is not known to be sent: the next attempt, or the same one again."""
    if _is_last(run, rules):
        if run.dispatched_at is None:
            return _release(replace(record, run=_marked(run, now, rules)))
        if run.starts:
            return _use_up(record, run, Outcome.ABANDONED, now, rules)
        return _use_up(record, run, Outcome.SKIPPED, now, rules, reason=Skip.NEVER_STARTED.value)
    if run.dispatched_at is None:
        return _send(replace(record, run=run), run, None)
    if not rules.aware and not rules.gated:
        return _use_up(record, replace(run, starts=1), Outcome.ABANDONED, now, rules, reason="no longer result-aware")
    # A new message: it has not been retried by Celery, and what it replaces may have been a retry that was lost.
    again = replace(run, attempt=run.attempt + 1, unstarted=run.unstarted + 1, retries=0, dispatched_at=None)
    return replace(_send(replace(record, run=again), again, None), unstarted=run)


_ENDED = {Backend.SUCCESS: Outcome.SUCCEEDED, Backend.FAILURE: Outcome.FAILED, Backend.REVOKED: Outcome.REVOKED}


def _wait(record: Record, run: Run, now: Instant, rules: Rules) -> Plan:
    """Only a poll was due, or the one message that there will be was not started in time: that is told once."""
    late = _is_lone(run, rules) and run.dispatched_at is not None and now >= run.dispatched_at + _patience(run, rules)
    after = replace(run, unstarted=run.attempt) if late else run
    after = replace(after, poll_at=_poll_at(after, now, rules))
    return replace(_release(replace(record, run=after)), unstarted=run if late else None)


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


def _replaced(record: Record, run: Run, now: Instant, rules: Rules) -> Plan:
    """An open run whose definition is gone: an old definition's retry, or one nobody started."""
    again = run.replan and not rules.at_most_once
    outcome = Outcome.SKIPPED if run.starts == 0 else Outcome.ABANDONED
    return _use_up(record, run, outcome, now, rules, reason=Skip.REPLACED.value, due_again=again)


def _finalise(record: Record, run: Run, outcome: Outcome, now: Instant, times: DueTimes, rules: Rules) -> Plan:
    lost = outcome is Outcome.ABANDONED
    retry = outcome is Outcome.FAILED and rules.on_failure is OnFailure.RETRY and run.reason is None
    if record.removed or run.generation != record.generation:
        due_again = run.replan and (lost or retry) and not rules.at_most_once
        return _use_up(record, run, outcome, now, rules, due_again=due_again)
    if (lost or retry) and not rules.at_most_once:
        failures = run.failures + 1
        if failures >= rules.max_attempts:
            return _use_up(record, run, outcome, now, rules, reason="gave up", given_up=True)
        wait = 0 if lost else backoff(failures, rules)
        again = Ended(run.due_at, outcome, run.attempt, run.reason)
        opened = replace(record, run=_open_again(run, failures, Instant(now + wait)))
        return replace(_release(opened), again=again)
    if outcome is Outcome.FAILED and rules.on_failure is OnFailure.PAUSE:
        pause = Pause(note=f"the run of {show(run.due_at)} failed")
        resting = record if record.key.startswith("o:") else replace(record, paused=pause)
        return replace(_use_up(resting, run, outcome, now, rules), pause=pause)
    if rules.catch_up is CatchUp.NONE and record.paused is None and record.due_at <= now:
        taken = skip_all(record.due_at, now, times, Skip.OVERLAP)
        return replace(_use_up(_count(record, taken, now), run, outcome, now, rules), skips=taken.skips, taken=taken)
    return _use_up(record, run, outcome, now, rules)


def backoff(failures: int, rules: Rules) -> int:
    """How long the attempt after the given number of failures waits, in milliseconds."""
    first, cap = rules.backoff
    return int(min(first * 2 ** min(failures - 1, 40), cap))


def _open_again(run: Run, failures: int, until: Instant) -> Run:
    return Run(
        due_at=run.due_at,
        generation=run.generation,
        attempt=run.attempt + 1,
        failures=failures,
        starts=run.starts,
        deadline=run.deadline,
        until=until,
    )


def _use_up(
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
    line = Recent(
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
    after = replace(
        record,
        run=None,
        lease=None,
        counters=_add(record.counters, started=int(started), skipped=int(not started)),
        recent=remembered(record, line, rules),
        due_at=run.due_at if due_again else record.due_at,
    )
    ended = Ended(run.due_at, outcome, run.attempt, reason)
    dead_end = given_up or reason == Skip.DEADLINE.value
    if record.removed:
        write = Write(record=None)
    elif _is_over(after):
        write = _bury(after, now, rules) if dead_end else _finish(after, now)
    else:
        write = Write(record=after)
    skips = None if started else Skips(run.due_at, run.due_at, 1, _skip_of(reason))
    return Plan(record=record, first=write, ended=ended, skips=skips)


def settle(plan: Plan, stored: Record, receipt: Receipt, now: Instant, times: DueTimes, rules: Rules) -> Write | None:
    """The write that follows a publish, decided on what is stored now; None where nothing is owed.

    ``stored`` is the record as the plan's first write left it, or as it was claimed if there was
    none. For ADVANCE it may have been edited meanwhile: ``times`` are those of its present definition.
    """
    match plan.settle:
        case Settle.ADVANCE:
            return _advance_as_holder(plan, stored, receipt, now, times, rules)
        case Settle.ADVANCED:
            return _after_use(plan, receipt.sent, now, rules)
        case Settle.MARK:
            return _mark(plan, stored, receipt, now, rules)
        case None:
            return None


def _advance_as_holder(
    plan: Plan, stored: Record, receipt: Receipt, now: Instant, times: DueTimes, rules: Rules
) -> Write | None:
    assert plan.taken is not None
    assert plan.send is not None
    if _owner(stored) != _owner(plan.record):
        return None  # the lease has been given back: by an advance of ours, whose answer was lost
    if receipt.sent in (Sent.FAILED, Sent.UNSURE):
        return hold_back(stored, SEND_AGAIN)
    if stored.removed:
        return Write(record=None)
    if stored.due_at != plan.record.due_at:
        return Write(record=replace(stored, lease=None))
    taken = plan.taken
    if stored.timing != plan.record.timing:
        taken = replace(taken, next_due=_times_of(stored, times).next_after(now))
    if receipt.sent is Sent.UNBUILDABLE:
        return _unbuildable(stored, taken, now, rules)
    return _use(stored, taken, plan.send.due_at, receipt, now, rules)


def _owner(record: Record) -> str | None:
    return None if record.lease is None else record.lease.owner


def _after_use(plan: Plan, sent: Sent, now: Instant, rules: Rules) -> Write | None:
    match sent:
        case Sent.SENT | Sent.UNSURE:
            return None
        case Sent.FAILED:
            return hold_back(_put_back(plan), SEND_AGAIN)
        case Sent.UNBUILDABLE:
            assert plan.taken is not None
            return _unbuildable(plan.record, plan.taken, now, rules)


def _put_back(plan: Plan) -> Record:
    """The record as it was claimed, but for what was skipped on the way: that stays so, and stays counted."""
    record, taken = plan.record, plan.taken
    assert taken is not None
    assert taken.fire is not None
    skipped = 0 if taken.skips is None else taken.skips.count
    return replace(record, due_at=taken.fire, counters=_add(record.counters, expected=skipped, skipped=skipped))


def _mark(plan: Plan, stored: Record, receipt: Receipt, now: Instant, rules: Rules) -> Write | None:
    run, sent = stored.run, receipt.sent
    assert run is not None
    if sent is Sent.UNBUILDABLE:
        return _use_up(stored, run, Outcome.SKIPPED, now, rules, reason=Skip.PUBLISH_FAILED.value, given_up=True).first
    if sent is Sent.SENT or (sent is Sent.UNSURE and _is_last(run, rules)):
        run = replace(_marked(run, now, rules), task_id=receipt.task_id)
        return Write(record=replace(stored, run=run, lease=None))
    if not _is_last(run, rules):
        return hold_back(stored, SEND_AGAIN)
    # Certainly not sent: it must not count as one of the few sends, nor be taken for one of unknown fate.
    if plan.taken is not None:
        return hold_back(replace(stored, run=None, due_at=run.due_at, counters=_uncount(stored.counters)), SEND_AGAIN)
    return hold_back(stored if plan.unstarted is None else replace(stored, run=plan.unstarted), SEND_AGAIN)


def _is_last(run: Run, rules: Rules) -> bool:
    """Whether no later attempt is allowed to start this run for the first time."""
    return rules.at_most_once and run.attempt >= rules.start_attempts


def _is_lone(run: Run, rules: Rules) -> bool:
    """Whether it is the last one, not started, and nobody was told so yet."""
    return _is_last(run, rules) and run.starts == 0 and run.unstarted < run.attempt


def _patience(run: Run, rules: Rules) -> int:
    wait: int = min(rules.start_within * 2 ** min(run.unstarted, 40), rules.start_cap)
    return wait


def _marked(run: Run, now: Instant, rules: Rules) -> Run:
    """On its way since ``now``."""
    marked = replace(run, dispatched_at=now, until=_next_look(run, now, rules))
    return replace(marked, poll_at=_poll_at(marked, now, rules))


def _next_look(run: Run, now: Instant, rules: Rules) -> Instant:
    """When the next attempt of a run sent now follows; the last allowed one may still start much later."""
    if not _is_last(run, rules):
        return Instant(now + _patience(run, rules))
    return Instant(now + rules.start_cap) if run.deadline is None else run.deadline


def _poll_at(run: Run, now: Instant, rules: Rules) -> Instant:
    """When an open run is looked at before its time: ordinary workers report nothing; a lone message may be late."""
    if not rules.gated:
        return Instant(now + max(1_000, rules.lease // 12))
    return Instant(now + _patience(run, rules)) if _is_lone(run, rules) else NEVER


def message_expiry(run: Run, now: Instant, rules: Rules) -> int | None:
    """In how many milliseconds a result-aware message that is sent now expires; None: never.

    With a gate it is rubbish collection. Without one, an old copy must not start once the next is
    sent: the worker's clock judges, so it ends earlier by a margin.
    """
    if rules.gated:
        return None if run.deadline is None or run.starts else run.deadline - now + RUBBISH
    wait = _next_look(run, now, rules) - now
    wait -= min(SKEW, wait // 10)
    return wait if run.deadline is None or run.starts else min(wait, run.deadline - now)


def hold_back(record: Record, wait_ms: int) -> Write:
    """Keep everybody from the record for a while."""
    return Write(record=replace(record, lease=Lease(owner=NOBODY, until=Instant(0))), lease_for=wait_ms)


def _release(record: Record) -> Plan:
    return Plan(record=record, first=Write(record=replace(record, lease=None)))


def _use(record: Record, taken: Taken, due_at: Instant, receipt: Receipt, now: Instant, rules: Rules) -> Write:
    """The occurrence is used up by being sent."""
    line = Recent(
        due_at=due_at, outcome="sent", task_id=receipt.task_id, dispatched_at=receipt.at or None, beat=receipt.beat
    )
    used = _count(record, taken, now, started=1, recent=remembered(record, line, rules), lease=None)
    if not _is_over(used):
        return Write(record=used)
    # What may have to be put back leaves a tombstone, so that its versions go on and never start anew.
    return _finish(used, now, keep=rules.claim_time if rules.at_most_once else 0)


def _skip_write(record: Record, taken: Taken, now: Instant, rules: Rules) -> Write:
    rested = _count(record, taken, now, lease=None)
    return _bury(rested, now, rules) if _is_over(rested) else Write(record=rested)


def _unbuildable(record: Record, taken: Taken, now: Instant, rules: Rules) -> Write:
    skipped = _count(record, taken, now, skipped=1, lease=None)
    return _bury(skipped, now, rules) if _is_over(skipped) else Write(record=skipped)


def _is_over(record: Record) -> bool:
    """Whether a one-shot has nothing left to do; one that an edit made of a recurring entry may have."""
    return record.one_shot and record.due_at >= NEVER


def _finish(record: Record, now: Instant, keep: int = 0) -> Write:
    """Delete a one-shot; a young one leaves a tombstone until it is ``TOMBSTONE`` old, at least for ``keep``."""
    rest = max(keep, record.created_at + TOMBSTONE - now)
    if rest <= 0:
        return Write(record=None)
    bare = replace(record, removed=True, due_at=NEVER, body=None, recent=())
    return Write(record=replace(bare, lease=Lease(owner=NOBODY, until=Instant(0))), lease_for=rest)


def _bury(record: Record, now: Instant, rules: Rules) -> Write:
    """Keep a one-off that was given up as a dead letter."""
    return Write(record=replace(record, lease=None, due_at=NEVER, dead=Instant(now + rules.dead_letter_ttl)))


def _deadline(now: Instant, rules: Rules) -> Instant | None:
    if rules.expires_at is not None:
        return Instant(rules.expires_at)
    return None if rules.expires is None else Instant(now + rules.expires)


def remembered(record: Record, line: Recent, rules: Rules) -> tuple[Recent, ...]:
    """The run history with one more line, bounded."""
    return () if rules.recent_runs == 0 else (*record.recent, line)[-rules.recent_runs :]


def _count(record: Record, taken: Taken, now: Instant, started: int = 0, skipped: int = 0, **changes: Any) -> Record:
    """The record after these occurrences; a pause that is over is kept while it has more missed ones to decide."""
    pause = record.paused
    if pause is not None and pause.until <= now and pause.until < taken.next_due:
        pause = None
    left_out = 0 if taken.skips is None else taken.skips.count
    expected = record.counters.expected + taken.expected
    most = record.spec.max_runs
    exhausted = most is not None and expected - record.counters.skipped - left_out >= most
    counters = _add(record.counters, expected=taken.expected, started=started, skipped=left_out + skipped)
    due_at = NEVER if exhausted else taken.next_due
    return replace(record, counters=counters, paused=pause, due_at=due_at, **changes)


def _add(counters: Counters, expected: int = 0, started: int = 0, skipped: int = 0) -> Counters:
    return Counters(counters.expected + expected, counters.started + started, counters.skipped + skipped)


def _uncount(counters: Counters) -> Counters:
    return _add(counters, expected=-1)


def _skip_of(reason: str | None) -> Skip:
    try:
        return Skip(reason)
    except ValueError:
        return Skip.NEVER_STARTED

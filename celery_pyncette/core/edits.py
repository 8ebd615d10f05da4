"""What people and deploys do to entries: create, replace, remove, pause, resume, run now.

Each function answers the record to be written in the place of the one that was read, or None where
nothing is to be changed. None of them touches a lease: whoever acts on a run goes on.

============  =========================  ==================================  ==========================
edit          no run                     open run                            running or reported
============  =========================  ==================================  ==========================
replace       due time kept if the       dropped; due again if the schedule  stays under its old
              schedule is the same or    is the same                         generation
              it is due already
unschedule    deleted                    deleted                             tombstone, until a beat
                                                                             has ended the run
============  =========================  ==================================  ==========================
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import NOBODY, Counters, EntrySpec, Key, Lane, Pause, Record, Run, Write
from celery_pyncette.core.schedules import Once
from celery_pyncette.core.taking import DueTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What an entry shall be: its spec and the fingerprints of its timing and its payload."""

    key: Key
    spec: EntrySpec
    timing: str
    payload: str
    generation: str
    lane: Lane = Lane.ENTRIES


def create(
    definition: Definition, now: Instant, times: DueTimes, *, epoch: int = 0, due_at: Instant | None = None
) -> Record:
    """A record that is not there yet, anchored at ``now``; it fires at ``due_at`` or at its next due time."""
    return Record(
        key=definition.key,
        lane=definition.lane,
        generation=definition.generation,
        spec=definition.spec,
        timing=definition.timing,
        payload=definition.payload,
        created_at=now,
        anchor=now,
        due_at=_first_due(definition, now, times) if due_at is None else due_at,
        epoch=epoch,
    )


def replaced(
    record: Record, definition: Definition, now: Instant, times: DueTimes, rules: Rules, *, force: bool = False
) -> Record | None:
    """The record under another definition; None if that is the one it has.

    :param times: the due times of the new definition, with the record's own anchor.
    """
    gone = record.removed or record.dead is not None
    same_timing = record.timing == definition.timing and not force
    if same_timing and record.payload == definition.payload and not gone:
        return None
    after = replace(
        record,
        generation=definition.generation,
        spec=definition.spec,
        timing=definition.timing,
        payload=definition.payload,
        removed=False,
        dead=None,
    )
    if gone:
        after = _successor(after, record, now, _first_due(definition, now, times))
    elif not definition.spec.enabled:
        after = replace(after, due_at=NEVER)
    elif not (same_timing and record.spec.enabled) and (record.due_at > now or force):
        after = replace(after, due_at=_first_due(definition, now, times))
    run = record.run
    if run is None:
        return after
    again = same_timing and definition.spec.enabled and not gone
    if run.is_open:
        return _drop_open(after, run, again, rules)
    return replace(after, run=replace(run, replan=again))


def _successor(after: Record, gone: Record, now: Instant, due_at: Instant) -> Record:
    """A new life in the place of a tombstone or dead letter; what of the old one still runs stays counted."""
    # What only kept a tombstone must not keep its successor waiting; nobody acts under such a lease.
    held = gone.lease is not None and (gone.lease.owner != NOBODY or gone.run is not None)
    return replace(after, created_at=now, due_at=due_at, lease=gone.lease if held else None, counters=_open_only(gone))


def _drop_open(after: Record, run: Run, again: bool, rules: Rules) -> Record:
    """The open run of the old definition ends; ``again`` (the same schedule): its occurrence is planned again."""
    counters = after.counters
    gated = not rules.at_most_once or rules.start_attempts > 1
    if again and run.starts == 0 and gated:
        counters = replace(counters, expected=counters.expected - 1)
        return replace(after, run=None, due_at=run.due_at, counters=counters)
    ended = replace(counters, started=counters.started + (run.starts > 0), skipped=counters.skipped + (run.starts == 0))
    repeat = again and run.starts > 0 and not rules.at_most_once
    return replace(after, run=None, counters=ended, due_at=run.due_at if repeat else after.due_at)


def unscheduled(record: Record, generation: str) -> Write:
    """Remove an entry; one whose run is going on stays as a tombstone until a beat has ended it."""
    if record.run is None or record.run.is_open:
        return Write(record=None)
    return Write(record=replace(record, removed=True, due_at=NEVER, generation=generation))


def paused(record: Record, pause: Pause) -> Record:
    """The entry at rest; a run that has started goes on."""
    return replace(record, paused=pause)


def resumed(record: Record, now: Instant, catch_up: str | None = None) -> Record | None:
    """The entry awake; ``catch_up`` decides about what it missed, else its policy does. None if it was not paused.

    While something missed waits for that decision, a pause that ended ``now`` says so.
    """
    if record.paused is None:
        return None
    if record.due_at > now:
        return replace(record, paused=None)
    mode = record.paused.catch_up if catch_up is None else catch_up
    return replace(record, paused=Pause(until=now, catch_up=mode))


def run_now(record: Record, now: Instant) -> Write:
    """One more occurrence, at once, beside whatever else the entry does."""
    child = replace(
        record,
        key=one_shot_key(record.key, now, record.generation),
        created_at=now,
        due_at=now,
        run=None,
        lease=None,
        paused=None,
        counters=Counters(),
        recent=(),
        dead=None,
        removed=False,
    )
    return Write(record=record, creates=(child,))


def _first_due(definition: Definition, now: Instant, times: DueTimes) -> Instant:
    """The next due time; a single one that has passed is overdue, not impossible."""
    spec = definition.spec
    after = min(now, Instant(spec.schedule.at - 1)) if isinstance(spec.schedule, Once) else now
    return times.next_after(after) if spec.enabled else NEVER


def _open_only(record: Record) -> Counters:
    return Counters(expected=0 if record.run is None else 1)

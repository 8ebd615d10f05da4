"""What the calls of ``client`` answer: an entry as the store has it, in the words and times of people."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from celery_pyncette.core.instants import NEVER, Instant, datetime_of
from celery_pyncette.core.records import Counters, EntrySpec, Origin, Pause, Recent, Record, Run
from celery_pyncette.display import describe


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The run in flight. ``started_at`` and ``worker`` are None for as long as nobody has reported a start."""

    due_at: datetime
    attempt: int
    task_id: str | None
    dispatched_at: datetime | None
    started_at: datetime | None
    worker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseState:
    """Who may act on the entry, and until when by the store's clock. ``owner`` is empty while it is only held back."""

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseState:
    """Why an entry rests; ``until`` None: until it is resumed; ``missed``: as ``pause_task`` was given it."""

    note: str
    until: datetime | None
    missed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One line of run history; ``outcome`` is ``sent`` where nobody waited for more."""

    due_at: datetime
    outcome: str
    attempt: int
    task_id: str | None
    dispatched_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    beat: str | None
    worker: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """An entry at one moment of the store's clock, ``as_of``. Every ``datetime`` is aware, in UTC.

    ``spec`` is the definition: of a static entry without schedule, arguments and options, which stay in the
    configuration. ``generation`` is the random id of that definition. ``schedule`` says it in words. ``state`` is one
    of waiting, due, claimed, held back, to send, sent, running, reported, paused, exhausted, disabled, dead letter.
    ``next_due`` is the next due time that no run has taken up, None if there is none. ``dead_until``: when a dead
    letter will be deleted. ``version`` rises with every write.
    """

    name: str
    origin: Origin
    task: str
    schedule: str
    timezone: str | None
    state: str
    next_due: datetime | None
    run: RunState | None
    lease: LeaseState | None
    paused: PauseState | None
    counters: Counters
    recent: tuple[PastRun, ...]
    dead_until: datetime | None
    created_at: datetime
    as_of: datetime = field(compare=False)
    spec: EntrySpec
    key: str
    generation: str
    version: int


#: How ``missed=`` of pauses is called in a record.
MISSED = {"skip": "none", "latest": "latest", "all": "all"}
_MISSED_WORDS = {mode: word for word, mode in MISSED.items()}


def state_of_record(record: Record, now: Instant) -> TaskState:
    """The answer about a record; ``now`` is the store's."""
    spec, lease, pause = record.spec, record.lease, record.paused
    return TaskState(
        name=spec.name,
        origin=spec.origin,
        task=spec.task,
        schedule=spec.description or ("" if spec.schedule is None else describe(spec.schedule)),
        timezone=spec.timezone,
        state=state_of(record, now),
        next_due=_when(record.due_at),
        run=None if record.run is None else _run(record.run),
        lease=LeaseState(owner=lease.owner, until=datetime_of(lease.until)) if lease and lease.until > now else None,
        paused=_pause(pause) if pause is not None and pause.until > now else None,
        counters=record.counters,
        recent=tuple(_past(line) for line in record.recent),
        dead_until=_when(record.dead),
        created_at=datetime_of(record.created_at),
        as_of=datetime_of(now),
        spec=spec,
        key=record.key,
        generation=record.generation,
        version=record.version,
    )


def state_of(record: Record, now: Instant) -> str:
    """In a word or two, what an entry is doing; the first that fits."""
    run, lease = record.run, record.lease
    if run is not None and run.is_running:
        return "running"
    if record.dead is not None:
        return "dead letter"
    if record.paused is not None and record.paused.until > now:
        return "paused"
    if lease is not None and lease.until > now:
        return "claimed" if lease.owner else "held back"
    if run is not None:
        return "reported" if run.outcome is not None else "to send" if run.dispatched_at is None else "sent"
    return _at_rest(record, now)


def _at_rest(record: Record, now: Instant) -> str:
    if not record.spec.enabled:
        return "disabled"
    if record.due_at >= NEVER:
        return "exhausted"
    return "due" if record.due_at <= now else "waiting"


def _when(instant: Instant | None) -> datetime | None:
    return None if instant is None or instant >= NEVER else datetime_of(instant)


def _pause(pause: Pause) -> PauseState:
    missed = None if pause.catch_up is None else _MISSED_WORDS.get(pause.catch_up, pause.catch_up)
    return PauseState(note=pause.note, until=_when(pause.until), missed=missed)


def _run(run: Run) -> RunState:
    return RunState(
        due_at=datetime_of(run.due_at),
        attempt=run.attempt,
        task_id=run.task_id or None,
        dispatched_at=_when(run.dispatched_at),
        started_at=_when(run.started_at),
        worker=run.worker,
    )


def _past(line: Recent) -> PastRun:
    return PastRun(
        due_at=datetime_of(line.due_at),
        outcome=line.outcome,
        attempt=line.attempt,
        task_id=line.task_id or None,
        dispatched_at=_when(line.dispatched_at),
        started_at=_when(line.started_at),
        ended_at=_when(line.ended_at),
        beat=line.beat or None,
        worker=line.worker,
        reason=line.reason,
    )

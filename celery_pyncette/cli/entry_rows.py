"""Records and definitions -> what `list` shows of an entry; nothing here prints or asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Counters, Origin, Pause, Recent, Record, Run
from celery_pyncette.display import describe
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.task_state import state_of
from celery_pyncette.words import brief, distance, moment, times

#: What :attr:`EntryRow.here` may say of a static entry: how this app's configuration stands to the record.
SAME, OTHER, ABSENT = "same", "other schedule", "not defined"
#: Entries of the configuration that the store, or this command, knows nothing of.
NEW, UNKNOWN = "new", "unknown"

COLUMNS = ("NAME", "ORIGIN", "SCHEDULE", "NEXT DUE", "IN", "LAST DUE", "OUTCOME", "LAG", "STATE")
STYLES = {"running": "green", "paused": "yellow", "dead letter": "red", "due": "yellow", NEW: "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One entry as it is now. ``here`` is None for a dynamic one; ``late_ms`` how long it has been due, else None."""

    name: str
    origin: str
    task: str
    schedule: str
    timezone: str | None
    state: str
    here: str | None = None
    due_at: Instant = NEVER
    late_ms: int | None = None
    paused: Pause | None = None
    run: Run | None = None
    last: Recent | None = None
    counters: Counters = field(default_factory=Counters)
    in_store: bool = True


def row_of(record: Record, definitions: StaticDefinitions, now: Instant) -> EntryRow:
    """A record, joined with what this app defines."""
    spec, due = record.spec, _due_since(record)
    return EntryRow(
        name=spec.name,
        origin=spec.origin.value,
        task=spec.task,
        schedule=spec.description or ("" if spec.schedule is None else describe(spec.schedule)),
        timezone=spec.timezone,
        state=state_of(record, now),
        here=_here(record, definitions),
        due_at=record.due_at,
        late_ms=now - due if due <= now else None,
        paused=record.paused if record.paused is not None and record.paused.until > now else None,
        run=record.run,
        last=record.recent[-1] if record.recent else None,
        counters=record.counters,
    )


def defined_row(name: str, definitions: StaticDefinitions, now: Instant, state: str) -> EntryRow:
    """An entry of the configuration alone: due as if a beat saw it first now."""
    spec = definitions.definition(name).spec
    try:
        due_at = definitions.times(name, now).next_after(now) if spec.enabled else NEVER
    except PyncetteError:
        due_at = NEVER
    return EntryRow(
        name=name,
        origin=spec.origin.value,
        task=spec.task,
        schedule=spec.description,
        timezone=spec.timezone,
        state=state,
        here=SAME,
        due_at=due_at,
        in_store=False,
    )


def _due_since(record: Record) -> Instant:
    """The oldest occurrence that nobody has sent yet; ``NEVER`` if nothing waits for being sent."""
    run = record.run
    if record.paused is not None or record.dead is not None:
        return NEVER
    unsent = run is not None and run.is_open and run.dispatched_at is None
    return run.due_at if run is not None and unsent else record.due_at


def _here(record: Record, definitions: StaticDefinitions) -> str | None:
    name = record.spec.name
    if record.spec.origin is not Origin.STATIC:
        return None
    if name not in definitions.static():
        return ABSENT
    return SAME if definitions.definition(name).timing == record.timing else OTHER


def cells(row: EntryRow, now: Instant) -> tuple[str, ...]:
    """The row of a table, as ``COLUMNS`` says."""
    last = row.last
    return (
        row.name,
        row.origin,
        row.schedule,
        moment(row.due_at),
        distance(row.due_at, now),
        "-" if last is None else moment(last.due_at),
        "-" if last is None else last.outcome,
        "-" if last is None or last.dispatched_at is None else brief(max(0, last.dispatched_at - last.due_at)),
        _state_in_words(row),
    )


def _state_in_words(row: EntryRow) -> str:
    if row.here in (None, SAME):
        return row.state
    return f"{row.state}, {row.here} here"


def document(row: EntryRow) -> dict[str, Any]:
    """The row as JSON values; the keys are a promise."""
    return {
        "name": row.name,
        "origin": row.origin,
        "task": row.task,
        "schedule": row.schedule,
        "timezone": row.timezone,
        "state": row.state,
        "in_store": row.in_store,
        "here": row.here,
        **times("due_at", row.due_at),
        "late_ms": row.late_ms,
        "paused": None if row.paused is None else {"note": row.paused.note, **times("until", row.paused.until)},
        "run": None if row.run is None else _run(row.run),
        "last_run": None if row.last is None else _recent(row.last),
        "expected": row.counters.expected,
        "started": row.counters.started,
        "skipped": row.counters.skipped,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        **times("due_at", run.due_at),
        "attempt": run.attempt,
        "task_id": run.task_id or None,
        **times("dispatched_at", run.dispatched_at),
        **times("started_at", run.started_at),
        "worker": run.worker,
    }


def _recent(last: Recent) -> dict[str, Any]:
    lag = None if last.dispatched_at is None else max(0, last.dispatched_at - last.due_at)
    return {
        **times("due_at", last.due_at),
        "outcome": last.outcome,
        "reason": last.reason,
        "attempt": last.attempt,
        "task_id": last.task_id or None,
        **times("dispatched_at", last.dispatched_at),
        **times("started_at", last.started_at),
        **times("ended_at", last.ended_at),
        "lag_ms": lag,
        "beat": last.beat or None,
        "worker": last.worker,
    }

"""Entries and their runs, in the words and colours of the page. Pure: nothing here asks a store, or makes HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.records import Origin
from celery_pyncette.task_state import PastRun, TaskState
from celery_pyncette.words import brief, distance

#: Classes of Bootstrap's, by what an entry does and how a run ended.
STATE_TONES = {
    "running": "success",
    "due": "warning",
    "claimed": "warning",
    "to send": "warning",
    "held back": "warning",
    "sent": "primary",
    "paused": "warning",
    "dead letter": "danger",
}
OUTCOME_TONES = {
    "succeeded": "success",
    "sent": "primary",
    "failed": "danger",
    "abandoned": "danger",
    "revoked": "warning",
    "skipped": "warning",
}
_QUIET = "secondary"
#: A shorter lag than this is what polling costs.
_SHOWN_LAG = 2000
#: The lowest bar of a timeline, in percent of the highest.
_LOWEST = 30


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as ``in 5 m``, and in full for whoever points at it."""

    near: str
    full: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One run in a timeline; ``height`` in percent."""

    tone: str
    height: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One entry. ``late`` is empty unless it should have been sent by now."""

    name: str
    origin: str
    key: str
    task: str
    schedule: str
    timezone: str
    state: str
    tone: str
    note: str
    next: Moment | None
    last: Moment | None
    last_outcome: str
    last_tone: str
    late: str
    bars: tuple[Bar, ...]
    paused: bool
    is_entry: bool

    @property
    def removable(self) -> bool:
        return self.is_entry and self.origin == Origin.DYNAMIC.value


def row_of(state: TaskState, zone: tzinfo) -> EntryRow:
    """The row of an entry, in the time zone of the app."""
    now = instant_of(state.as_of)
    last = state.recent[-1] if state.recent else None
    late = late_ms(state)
    return EntryRow(
        name=state.name,
        origin=state.origin.value,
        key=state.key,
        task=state.task,
        schedule=state.schedule,
        timezone=state.timezone or "",
        state=state.state,
        tone=STATE_TONES.get(state.state, _QUIET),
        note="" if state.paused is None else state.paused.note,
        next=None if state.dead_until else moment(_next(state), now, zone),
        last=None if last is None else moment(_ended(last), now, zone),
        last_outcome="" if last is None else last.outcome,
        last_tone="" if last is None else OUTCOME_TONES.get(last.outcome, _QUIET),
        late="" if late < _SHOWN_LAG else brief(late),
        bars=timeline(state.recent, zone),
        paused=state.paused is not None,
        is_entry=state.key[:2] != "o:" and state.dead_until is None,
    )


def late_ms(state: TaskState) -> int:
    """How long ago the oldest occurrence was due that nobody has sent yet; 0 if there is none, or it may rest."""
    run = state.run
    if state.paused is not None or state.dead_until is not None:
        return 0
    due = run.due_at if run is not None and not run.started_at and not run.dispatched_at else state.next_due
    return 0 if due is None else max(0, instant_of(state.as_of) - instant_of(due))


def moment(at: datetime | None, now: Instant, zone: tzinfo) -> Moment | None:
    """A time as seen from now; None stays None."""
    return None if at is None else Moment(distance(instant_of(at), now), full(at, zone))


def full(at: datetime, zone: tzinfo) -> str:
    """A time in full, in a time zone: ``2026-11-24 09:00:00 CET``."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def timeline(runs: Iterable[PastRun], zone: tzinfo) -> tuple[Bar, ...]:
    """A bar for each run, oldest first; the longest is the highest."""
    took = [(run, ran_ms(run)) for run in runs]
    longest = max((ms for _, ms in took if ms is not None), default=0)
    return tuple(
        Bar(OUTCOME_TONES.get(run.outcome, _QUIET), _height(ms, longest), _says(run, zone)) for run, ms in took
    )


def ran_ms(run: PastRun) -> int | None:
    """How long a run took; None where nobody knows."""
    if run.started_at is None or run.ended_at is None:
        return None
    return max(0, instant_of(run.ended_at) - instant_of(run.started_at))


def lag_ms(run: PastRun) -> int | None:
    """How long after its due time a run was sent; None if it was not."""
    return None if run.dispatched_at is None else max(0, instant_of(run.dispatched_at) - instant_of(run.due_at))


def _height(ms: int | None, longest: int) -> int:
    return 60 if ms is None or not longest else round(_LOWEST + (100 - _LOWEST) * ms / longest)


def _says(run: PastRun, zone: tzinfo) -> str:
    lag, ran = lag_ms(run), ran_ms(run)
    parts = [
        full(run.due_at, zone),
        f"{run.outcome} ({run.reason})" if run.reason else run.outcome,
        "" if ran is None else f"ran {brief(ran)}",
        "" if lag is None or lag < _SHOWN_LAG else f"sent {brief(lag)} late",
        "" if run.attempt == 1 else f"attempt {run.attempt}",
    ]
    return " · ".join(part for part in parts if part)


def _next(state: TaskState) -> datetime | None:
    """The due time of the run that is not sent yet, else the next one."""
    run = state.run
    return run.due_at if run is not None and run.dispatched_at is None and run.started_at is None else state.next_due


def _ended(run: PastRun) -> datetime:
    return run.ended_at or run.started_at or run.dispatched_at or run.due_at

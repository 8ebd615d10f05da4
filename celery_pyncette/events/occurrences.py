"""What becomes of occurrences: taken up, sent, late, left out, given up."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.core.instants import Instant
from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected(Event):
    """Occurrences became due and were taken up."""

    key: str
    entry: str
    task: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched(Event):
    """A message was handed to the broker; ``unsure`` if the answer was lost. ``lag`` is sent minus due."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    attempt: int
    lag: float
    seconds: float
    unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFailed(Event):
    """A message was not sent; it is tried again after ``retry_in`` seconds, or never if None."""

    key: str
    entry: str
    task: str
    due_at: Instant
    error: str
    retry_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Event):
    """Occurrences from ``due_at`` to ``until`` will not run; ``at_least`` if more were not counted.

    ``said``: what the middleware said that has vetoed one.
    """

    key: str
    entry: str
    task: str
    due_at: Instant
    until: Instant
    count: int
    reason: str
    at_least: bool = False
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Event):
    """``count`` occurrences have not run and will not, though nobody asked for that."""

    key: str
    entry: str
    task: str
    due_at: Instant
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Event):
    """An occurrence was sent ``lag`` seconds after it was due: longer than the death of a beat explains."""

    key: str
    entry: str
    task: str
    due_at: Instant
    lag: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried(Event):
    """A one-off was given up, and is kept as a dead letter."""

    key: str
    entry: str
    task: str
    due_at: Instant

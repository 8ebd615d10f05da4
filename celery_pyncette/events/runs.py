"""How result-aware runs go, as beats see it."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.core.instants import Instant
from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted(Event):
    """Nobody has started a result-aware run for ``waited`` seconds: are there workers? Somebody should look.

    ``again``: it is sent again.
    """

    key: str
    entry: str
    task: str
    due_at: Instant
    attempt: int
    waited: float
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedUp(Event):
    """A result-aware run is over."""

    key: str
    entry: str
    task: str
    due_at: Instant
    outcome: str
    attempt: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Event):
    """A run was lost or failed, and will be dispatched again in ``again_in`` seconds."""

    key: str
    entry: str
    task: str
    due_at: Instant
    outcome: str
    attempt: int
    again_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Event):
    """An entry was paused because a run of it failed."""

    key: str
    entry: str
    task: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsLost(Event):
    """The result backend cannot be asked; emitted once until it is back. Open runs are left alone meanwhile."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsBack(Event):
    """The result backend answers again."""

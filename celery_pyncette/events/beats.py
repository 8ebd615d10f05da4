"""What a beat says of itself: started, definitions written, neighbours seen, stuck."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatStarted(Event):
    """A beat has written its definitions and begins to claim; ``others`` are the beats and workers it sees."""

    store: str
    namespace: str
    store_id: str
    beat: str
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled(Event):
    """The static entries were written into the store."""

    created: int
    changed: int
    unchanged: int
    removed: int
    seeded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighboursSeen(Event):
    """How many beats, this one included, and gated workers live."""

    beats: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Event):
    """The loop of this beat has shown no sign of life for ``seconds``; ``where`` it is, as file:line function."""

    seconds: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstuck(Event):
    """The loop of this beat goes on after ``seconds``."""

    seconds: float

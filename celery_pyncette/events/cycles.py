"""One cycle of a beat, from its tick to the last record that it had in hand."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.core.instants import Instant
from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TickBegan(Event):
    """A cycle of the beat begins; ``Ticked`` ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Event):
    """A claim was answered: a successful poll.

    ``oldest`` is since when the oldest claimed occurrence is due, ``next_ready_at`` the earliest that is left in
    the lane; both and ``now`` are times of the store.
    """

    lane: int
    count: int
    now: Instant
    oldest: Instant | None
    next_ready_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtime(Event):
    """A chunk was dropped unsent, because half of the claim time had passed; its lease heals it."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEnded(Event):
    """What was claimed is seen through; ``in_hand`` records are still to be settled."""

    lane: int
    in_hand: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked(Event):
    """One cycle of the dispatcher ended; ``error`` names what stopped it, if anything, and ``kind`` its class."""

    seconds: float
    claimed: int
    sent: int
    error: str | None = None
    kind: str | None = None

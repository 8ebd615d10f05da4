"""The types that flow through every room, under one roof: what a store keeps, and what it is made of.

``EntrySpec`` (``specs.py``), ``Run`` and ``Recent`` (``runs.py``), ``Lease`` (``leases.py``); how a run ends is in
``outcomes.py``, what its message carries in ``tickets.py``. Everybody outside this room imports them from here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.keys import Key
from celery_pyncette.core.leases import NOBODY, Lease, Token
from celery_pyncette.core.outcomes import Outcome, Skip
from celery_pyncette.core.runs import Recent, Run
from celery_pyncette.core.schedules import Once
from celery_pyncette.core.specs import EntrySpec, Origin
from celery_pyncette.core.tickets import Occurrence, Ticket

__all__ = [
    "NOBODY",
    "Counters",
    "EntrySpec",
    "Key",
    "Lane",
    "Lease",
    "Occurrence",
    "Origin",
    "Outcome",
    "Pause",
    "Recent",
    "Record",
    "Run",
    "Skip",
    "Ticket",
    "Token",
    "Write",
]


class Lane(enum.IntEnum):
    """Slices of the ready index that never wait for one another."""

    ENTRIES = 0
    """Static and dynamic entries and their one-shots."""
    DELAYED = 1
    """Parked messages."""
    KEEPING = 2
    """Presence, manifests and meta; never claimed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An entry at rest: why, until when (``NEVER``: until resumed), and what of the missed runs then."""

    note: str = ""
    until: Instant = NEVER
    catch_up: str | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Occurrences of one record's life: ``expected = started + skipped + open``.

    An overlapping result-aware entry counts an occurrence as started when it hands it to a record of its own.
    """

    expected: int = 0
    started: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that a store keeps.

    A store reads ``key``, ``lane``, ``ready_at``; compares and raises ``generation``, ``version``,
    ``token``, ``write_id``, ``lease``; and understands nothing else. ``timing`` and ``payload`` are
    the fingerprints of the two halves of ``spec``. ``due_at`` is the next occurrence that no run
    has taken up, ``NEVER`` when there is none. ``dead`` is the time at which a dead letter is
    deleted. ``data`` holds what presence, manifests and meta say, ``body`` a parked message.
    """

    key: Key
    lane: Lane
    generation: str
    spec: EntrySpec
    timing: str = ""
    payload: str = ""
    created_at: Instant = Instant(0)
    anchor: Instant = Instant(0)
    due_at: Instant = NEVER
    run: Run | None = None
    lease: Lease | None = None
    paused: Pause | None = None
    removed: bool = False
    dead: Instant | None = None
    version: int = 0
    token: Token = Token(0)
    write_id: str = ""
    epoch: int = 0
    counters: Counters = Counters()
    recent: tuple[Recent, ...] = ()
    data: Mapping[str, Any] | None = None
    body: bytes | None = None

    @property
    def one_shot(self) -> bool:
        """Whether it is gone after one occurrence."""
        return self.key[:2] in ("o:", "e:") or isinstance(self.spec.schedule, Once)

    @property
    def ready_at(self) -> Instant:
        """The earliest time at which a store may hand it out; the first line that fits decides."""
        run = self.run
        if self.lease is not None:
            return self.lease.until
        if run is None:
            return self._ready_at_rest()
        if run.outcome is not None:
            return Instant(0)
        if run.started_at is not None:
            return NEVER  # running without a lease is never written; nothing could renew it
        if self.removed or run.generation != self.generation:
            return Instant(0)
        if self.paused is not None:
            return self.paused.until
        if run.dispatched_at is None:
            return run.until
        return min(run.until, run.poll_at)

    def _ready_at_rest(self) -> Instant:
        if self.removed:
            return Instant(0)
        if self.dead is not None:
            return self.dead
        if self.paused is not None:
            return max(self.paused.until, self.due_at)
        return self.due_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What to put in the place of a record; ``record`` None deletes it.

    ``lease_for`` (milliseconds): the store ends the lease of ``record.lease.owner`` that much after
    its own now. ``creates``: records made with this write or not at all.
    """

    record: Record | None
    lease_for: int | None = None
    creates: tuple[Record, ...] = ()

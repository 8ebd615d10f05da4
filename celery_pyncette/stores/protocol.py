"""What a store promises: hand out ready records, replace a record if nobody changed it meanwhile.

A store never sees a schedule or a policy. It compares ``ready_at`` with its own clock, mints
tokens, compares versions. Every answer carries the store's ``now``.

Row values: ``key`` is 1-600 bytes of UTF-8 and distinct by bytes; all times are integer UTC
milliseconds below 2**53; ``generation`` and ``write_id`` are short random strings.

A store may also wake beats: ``wake_ups.py``.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key, Lane, Origin, Record
from celery_pyncette.stores.wake_ups import Listener, Wakes, WakeUps, wake_ups_of

__all__ = [
    "Applied",
    "Change",
    "ClaimBatch",
    "ClaimRequest",
    "Expected",
    "Fetched",
    "Founding",
    "Listener",
    "Meta",
    "Page",
    "Query",
    "Store",
    "Verdict",
    "WakeUps",
    "Wakes",
    "Written",
    "wake_ups_of",
]


class Verdict(enum.Enum):
    """A store's answer to one change."""

    APPLIED = "applied"
    """Written now, or by an earlier call with the same ``write_id``."""
    STALE = "stale"
    """Somebody else changed the record meanwhile; nothing was written."""
    MISSING = "missing"
    """There is no such record; nothing was written."""
    EXISTS = "exists"
    """It, or one that it creates, is there already; nothing was written."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The stored state that a change was decided on."""

    generation: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One atomic replacement of one record.

    :param expect: what must be stored for it to be written; None for "no such record".
    :param record: the new content, or None to delete. The store writes version old + 1 (1 for a new
        record) and this ``write_id`` into it, whatever the record says, and ``token`` as it stands.
    :param lease_for: milliseconds; the store sets ``lease.until = ready_at = its now + lease_for``
        (the owner is the one in ``record.lease``).
    :param creates: records of the same partition that are made with it (version 1, this
        ``write_id``) or not at all.
    """

    key: Key
    expect: Expected | None
    record: Record | None
    write_id: str
    lease_for: int | None = None
    creates: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What became of one change: the verdict, and the version that this write gave if APPLIED (0 once deleted).

    Asked again after somebody else's claim it is that version still, so that what its writer does next is STALE.
    """

    verdict: Verdict
    version: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """Answers in the order of the changes."""

    now: Instant
    written: tuple[Written, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Ask for up to ``limit`` records of one lane that are ready, oldest first.

    :param seen: the highest store time this process has seen: the store's now is taken as at least
        this, so that a clock that steps back revives nothing.
    """

    owner: str
    lane: Lane
    limit: int
    lease_ms: int
    seen: Instant = Instant(0)
    partitions: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBatch:
    """What was claimed, each record as it is stored now: version + 1, new token, leased to the owner.

    ``next_ready_at`` is the earliest ``ready_at`` left in the lane (of the claimed partitions; may
    be in the past when ``limit`` cut the batch; may count the leases of this very claim). ``meta``
    says whether the namespace's meta record is there: if not, the store came back empty.
    ``corrupt`` records are leased like the others.
    """

    now: Instant
    records: tuple[Record, ...]
    next_ready_at: Instant = NEVER
    meta: bool = True
    corrupt: tuple[CorruptRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records in the order of the keys, None where absent."""

    now: Instant
    records: tuple[Record | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records a scan answers; every condition that is set must hold.

    ``prefix`` is a key prefix such as ``s:`` or ``o:d:report@``; ``name_prefix`` one of the entry's
    name. ``running``: has a run with a start and no outcome. Tombstones are answered like others.
    Scans by ``prefix`` or ``name_prefix`` use an index where the store has one (never for delayed).
    """

    prefix: str = ""
    origin: Origin | None = None
    task: str | None = None
    name_prefix: str | None = None
    paused: bool | None = None
    running: bool | None = None
    dead: bool | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some records in key order, and where to go on; a page may be empty and yet have a cursor."""

    now: Instant
    records: tuple[Record, ...]
    cursor: str | None = None
    corrupt: tuple[CorruptRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a namespace says of itself, in its record ``m:meta``."""

    store_id: str
    partitions: int
    fingerprint: str
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """How to found a namespace that is not there yet; ignored where it is.

    ``partitions`` None means the store's own default; ``fingerprint`` names the application.
    """

    fingerprint: str = ""
    partitions: int | None = None
    store_id: str = field(default="")


class Store(Protocol):
    """Seven methods; each may raise ``StoreUnavailable``, ``StoreRefused`` or ``SchemaMismatch``."""

    def prepare(self, founding: Founding | None) -> Meta:
        """Create what is missing, under an advisory lock, and answer the namespace's meta record.

        With None nothing is created: a missing schema or meta record raises ``SchemaMismatch``.
        """

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        """Lease ready records, atomically per partition; two claimers never get the same one."""

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        """Write each change if its expectation holds; each is atomic on its own.

        A change asked again with the same ``write_id`` answers APPLIED and changes nothing; a
        deletion asked again answers MISSING. Two changes of one call never have the same key.
        """

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        """Read records. :raises CorruptRecord: if one cannot be read."""

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        """A page of records in key order; records that stay put are answered exactly once."""

    def now(self) -> Instant:
        """The store's clock."""

    def close(self) -> None:
        """Release connections; idempotent; a later call connects again."""

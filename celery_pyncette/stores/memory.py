"""The store in this process's memory: reference semantics, the model for tests, and usable in users' own.

Nothing outlives the process, and no other process sees it. Records pass through the codec like
anywhere else, so what cannot be stored fails here too.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence
from dataclasses import replace

from celery_pyncette.clock import Clock, SystemClock
from celery_pyncette.core.codec import Row, decode
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import META, partition_of
from celery_pyncette.core.records import Key, Record
from celery_pyncette.stores.founding import found
from celery_pyncette.stores.protocol import (
    Applied,
    Change,
    ClaimBatch,
    ClaimRequest,
    Fetched,
    Founding,
    Meta,
    Page,
    Query,
)
from celery_pyncette.stores.rows import Entry, Head, check_siblings, keys_of, matches, settle


class Space:
    """What several ``MemoryStore`` objects of one process share, as stores of one database do."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.namespaces: dict[str, dict[str, Entry]] = {}


class MemoryStore:
    """See ``protocol.Store``.

    :param clock: the store's clock, this host's if not given.
    :param space: shared with other store objects; its own if not given.
    """

    def __init__(self, namespace: str = "celery", *, clock: Clock | None = None, space: Space | None = None) -> None:
        self.namespace = namespace
        self.partitions = 1
        self._clock = clock or SystemClock()
        self._space = space or Space()

    @property
    def _rows(self) -> dict[str, Entry]:
        return self._space.namespaces.setdefault(self.namespace, {})

    def prepare(self, founding: Founding | None) -> Meta:
        meta = found(self, founding)
        self.partitions = meta.partitions
        return meta

    def now(self) -> Instant:
        return self._clock.now()

    def close(self) -> None:
        """There is nothing to release."""

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        with self._space.lock:
            rows = self._rows
            now = max(self._clock.now(), request.seen)
            ready = self._ready(request)
            due = ready[: request.limit] if len(ready) > request.limit else ready
            due = [entry for entry in due if entry.row.ready_at <= now]
            left = ready[len(due)].row.ready_at if len(ready) > len(due) else NEVER
            records, corrupt = list[Record](), list[CorruptRecord]()
            for entry in due:
                claimed = _leased(entry.row, request.owner, now, request.lease_ms)
                rows[claimed.key] = Entry(claimed, entry.facets)
                record = _decoded(claimed, corrupt)
                if record is not None:
                    records.append(record)
            return ClaimBatch(
                now=now, records=tuple(records), next_ready_at=Instant(left), meta=META in rows, corrupt=tuple(corrupt)
            )

    def _ready(self, request: ClaimRequest) -> list[Entry]:
        """The first ``limit + 1`` records of the lane, oldest first."""
        wanted = request.partitions
        return heapq.nsmallest(
            request.limit + 1,
            (
                entry
                for entry in self._rows.values()
                if entry.row.lane == request.lane
                and (wanted is None or partition_of(entry.row.key, self.partitions) in wanted)
            ),
            key=lambda entry: (entry.row.ready_at, entry.row.key),
        )

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        check_siblings(changes, self.partitions)
        with self._space.lock:
            rows = self._rows
            now = max(self._clock.now(), seen)
            heads = {key: _head(rows[key].row) for key in keys_of(changes) if key in rows}
            settled = settle(changes, heads, now)
            for key in settled.deletes:
                del rows[key]
            for entry in (*settled.inserts, *settled.updates):
                rows[entry.row.key] = entry
            return Applied(now, tuple(settled.written))

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        with self._space.lock:
            rows = self._rows
            found_rows = [rows[key].row if key in rows else None for key in keys]
            return Fetched(self._clock.now(), tuple(None if row is None else decode(row) for row in found_rows))

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        with self._space.lock:
            after = cursor or ""
            entries = heapq.nsmallest(
                query.limit + 1,
                (e for key, e in self._rows.items() if key > after and matches(query, Key(key), e.facets)),
                key=lambda entry: entry.row.key,
            )
            shown, corrupt = entries[: query.limit], list[CorruptRecord]()
            records = [record for entry in shown if (record := _decoded(entry.row, corrupt)) is not None]
            more = shown[-1].row.key if len(entries) > query.limit else None
            return Page(now=self._clock.now(), records=tuple(records), cursor=more, corrupt=tuple(corrupt))


def _head(row: Row) -> Head:
    return Head(row.generation, row.version, row.write_id)


def _leased(row: Row, owner: str, now: Instant, lease_ms: int) -> Row:
    until = now + lease_ms
    token = max(row.token + 1, now)
    return replace(row, version=row.version + 1, token=token, owner=owner, until=until, ready_at=until)


def _decoded(row: Row, corrupt: list[CorruptRecord]) -> Record | None:
    try:
        return decode(row)
    except CorruptRecord as error:
        corrupt.append(error)
        return None

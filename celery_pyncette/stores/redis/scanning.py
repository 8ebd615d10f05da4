"""One page of a scan: the next keys of all partitions, what is stored under them, and the filter on our side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record
from celery_pyncette.stores.protocol import Page, Query
from celery_pyncette.stores.redis import fields
from celery_pyncette.stores.redis.commands import Command
from celery_pyncette.stores.redis.keys import PartitionKeys
from celery_pyncette.stores.redis.session import Session
from celery_pyncette.stores.rows import facets_of, matches

#: The most keys that one page looks at when a filter leaves few of them.
LOOKED_AT = 2000


class Scanning:
    """Walks the key indexes of all partitions, merged; the cursor is the last key looked at."""

    def __init__(self, session: Session, partitions: Sequence[PartitionKeys], query: Query) -> None:
        self._session = session
        self._partitions = partitions
        self._query = query
        self._limit = max(1, query.limit)
        self._step = max(100, self._limit)
        self._records: list[Record] = []
        self._corrupt: list[CorruptRecord] = []

    def page(self, cursor: str | None) -> Page:
        """See ``protocol.Store.scan``."""
        now, looked = Instant(0), 0
        more = True
        while more and looked < LOOKED_AT and not self._full():
            found = self._next(cursor)
            more = len(found) == self._step
            now, rows = self._read(found)
            looked += self._step
            for place, ((_, key), row) in enumerate(zip(found, rows, strict=True), 1):
                self._look(key, row)
                cursor = key
                if self._full():
                    more = more or place < len(found)
                    break
        records, corrupt = tuple(self._records), tuple(self._corrupt)
        return Page(now=now, records=records, cursor=cursor if more else None, corrupt=corrupt)

    def _full(self) -> bool:
        return len(self._records) + len(self._corrupt) >= self._limit

    def _look(self, key: str, row: Any) -> None:
        try:
            record = fields.read(key, row)
        except CorruptRecord as error:
            self._corrupt.append(error)
            return
        if record is not None and matches(self._query, record.key, facets_of(record)):
            self._records.append(record)

    def _next(self, after: str | None) -> list[tuple[PartitionKeys, str]]:
        """The next keys in the order of their bytes."""
        prefix = self._query.prefix.encode()
        low = b"[" + prefix if after is None else b"(" + after.encode()
        high = b"(" + prefix + b"\xff"  # no UTF-8 text has this byte
        names = [keys.index for keys in self._partitions]
        answers = self._session.ask(
            [Command(name, ("ZRANGEBYLEX", name, low, high, "LIMIT", 0, self._step)) for name in names]
        )
        merged = sorted((raw, i) for i, answer in enumerate(answers) for raw in answer)[: self._step]
        return [(self._partitions[i], raw.decode()) for raw, i in merged]

    def _read(self, found: Sequence[tuple[PartitionKeys, str]]) -> tuple[Instant, list[Any]]:
        names = [keys.record(key) for keys, key in found]
        time = Command(self._partitions[0].index, ("TIME",))
        now, *rows = self._session.ask([time, *(Command(name, ("HMGET", name, *fields.FIELDS)) for name in names)])
        return fields.instant(now), rows

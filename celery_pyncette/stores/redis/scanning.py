"""One page of a scan: which keys come next, then what is stored under them, then the filter on our side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Lane, Origin, Record
from celery_pyncette.stores.protocol import Page, Query
from celery_pyncette.stores.redis import fields
from celery_pyncette.stores.redis.keys import PartitionKeys
from celery_pyncette.stores.redis.link import Command
from celery_pyncette.stores.redis.session import Session
from celery_pyncette.stores.rows import facets_of, matches

#: The most keys that one page looks at when a filter leaves few of them.
LOOKED_AT = 2000
_PARKED = "e:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scan stands: at a key of the key index, or in the ready index of one partition's parked messages."""

    key: str = ""
    partition: int | None = None
    score: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> Place:
        return cls() if cursor is None else cls(*json.loads(cursor))

    def cursor(self) -> str:
        return json.dumps([self.key, self.partition, self.score])


@dataclass(frozen=True, slots=True)
class Found:
    """A key, and the place just after it."""

    keys: PartitionKeys
    key: str
    place: Place


class Scanning:
    """Key index first, merged over the partitions in key order; then parked messages, partition by partition."""

    def __init__(self, session: Session, partitions: Sequence[PartitionKeys], query: Query) -> None:
        self._session = session
        self._partitions = partitions
        self._query = query
        self._limit = max(1, query.limit)
        self._step = max(100, self._limit)
        prefix = query.prefix
        self._parked = query.origin in (None, Origin.DELAYED) and (prefix[:2] == _PARKED[: len(prefix)])
        self._records: list[Record] = []
        self._corrupt: list[CorruptRecord] = []

    def page(self, cursor: str | None) -> Page:
        """See ``protocol.Store.scan``."""
        place: Place | None = Place.of(cursor)
        now, looked = Instant(0), 0
        while place is not None and looked < LOOKED_AT and not self._full():
            found, place = self._next(place)
            now, rows = self._read(found)
            looked += max(1, len(rows))
            for one, row in zip(found, rows, strict=True):
                self._look(one.key, row)
                if self._full():
                    place = place if one is found[-1] else one.place
                    break
        return Page(
            now=now,
            records=tuple(self._records),
            cursor=None if place is None else place.cursor(),
            corrupt=tuple(self._corrupt),
        )

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

    def _read(self, found: Sequence[Found]) -> tuple[Instant, list[Any]]:
        names = [one.keys.record(one.key) for one in found]
        time = Command(self._partitions[0].index, ("TIME",))
        reads = [Command(name, ("HMGET", name, *fields.FIELDS)) for name in names]
        now, *rows = self._session.ask([time, *reads])
        return fields.instant(now), rows

    def _next(self, place: Place) -> tuple[list[Found], Place | None]:
        """Some keys, and where to go on after all of them."""
        if place.partition is None:
            found = self._by_key(place.key)
            if len(found) == self._step:
                return found, found[-1].place
            return found, Place(partition=0) if self._parked else None
        found = self._by_time(place, place.partition)
        if len(found) == self._step:
            return found, found[-1].place
        after = place.partition + 1
        return found, Place(partition=after) if after < len(self._partitions) else None

    def _by_key(self, after: str) -> list[Found]:
        prefix = self._query.prefix.encode()
        low = b"(" + after.encode() if after else b"[" + prefix if prefix else b"-"
        high = b"(" + prefix + b"\xff" if prefix else b"+"  # no UTF-8 text has this byte
        asked = [
            Command(keys.index, ("ZRANGEBYLEX", keys.index, low, high, "LIMIT", 0, self._step))
            for keys in self._partitions
        ]
        answers = self._session.ask(asked)
        merged = sorted((raw, i) for i, answer in enumerate(answers) for raw in answer)[: self._step]
        return [Found(self._partitions[i], key := raw.decode(), Place(key)) for raw, i in merged]

    def _by_time(self, place: Place, partition: int) -> list[Found]:
        """The next parked messages of one partition in the order of (ready_at, key)."""
        keys = self._partitions[partition]
        index = keys.ready[Lane.DELAYED]
        pairs = self._after_rank(index, place) if place.key else self._range(index, 0, self._step)
        if pairs is None:
            pairs = self._after_score(index, place)
        return [Found(keys, key, Place(key, partition, score)) for key, score in pairs]

    def _after_rank(self, index: str, place: Place) -> list[tuple[str, str]] | None:
        """What follows the last key in its place; None if it has moved."""
        rank = self._session.ask([Command(index, ("ZRANK", index, place.key))])[0]
        if rank is None:
            return None
        pairs = self._range(index, rank, self._step + 1)
        return pairs[1:] if pairs and pairs[0] == (place.key, place.score) else None

    def _after_score(self, index: str, place: Place) -> list[tuple[str, str]]:
        """What follows where the last key was: those of its time are read again, and left out up to it."""
        size, last = self._step, place.key.encode()
        while True:
            size *= 2
            answer = self._session.ask(
                [Command(index, ("ZRANGEBYSCORE", index, place.score, "+inf", "WITHSCORES", "LIMIT", 0, size))]
            )[0]
            pairs = _pairs(answer)
            left = [(k, s) for k, s in pairs if s != place.score or k.encode() > last]
            if len(left) >= self._step or len(pairs) < size:
                return left[: self._step]

    def _range(self, index: str, first: int, count: int) -> list[tuple[str, str]]:
        asked = Command(index, ("ZRANGE", index, first, first + count - 1, "WITHSCORES"))
        return _pairs(self._session.ask([asked])[0])


def _pairs(answer: Sequence[bytes]) -> list[tuple[str, str]]:
    return [(key.decode(), score.decode()) for key, score in zip(answer[::2], answer[1::2], strict=True)]

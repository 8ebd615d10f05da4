"""One claim over several partitions: how many of each, and how the answers become one batch."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Record
from celery_pyncette.stores.protocol import ClaimBatch, ClaimRequest
from celery_pyncette.stores.redis import fields

#: The most that one call of the script leases, so that no other client waits long.
ROWS_PER_CALL = 500

#: Asks ``claim.lua`` for so many of each partition, at once; True to look only.
Ask = Callable[[Sequence[tuple[int, int]], bool], Sequence[Any]]


class Claiming:
    """Of one partition the records are simply taken; of several it is looked first which are the oldest of all.

    Between the look and the claim others may have taken some: then the batch is smaller.
    """

    def __init__(self, request: ClaimRequest, partitions: Sequence[int], ask: Ask) -> None:
        self._request = request
        self._partitions = partitions
        self._ask = ask
        self._records: list[tuple[int, Record]] = []
        self._corrupt: list[CorruptRecord] = []
        self._left: dict[int, int] = {}
        self._now = 0
        self.meta = False

    def batch(self) -> ClaimBatch:
        """Claim, and put together what was answered."""
        limit = max(0, self._request.limit)
        wanted = dict.fromkeys(self._partitions, limit) if len(self._partitions) == 1 else self._look(limit)
        while wanted:
            asked = [(partition, min(count, ROWS_PER_CALL)) for partition, count in wanted.items()]
            answers = self._ask(asked, False)
            for (partition, count), answer in zip(asked, answers, strict=True):
                left = self._take(partition, answer)
                wanted[partition] -= count
                if wanted[partition] <= 0 or left > self._now:
                    del wanted[partition]
        self._records.sort(key=lambda pair: (pair[0], pair[1].key))
        return ClaimBatch(
            now=Instant(self._now),
            records=tuple(record for _, record in self._records),
            next_ready_at=Instant(min(self._left.values(), default=NEVER)),
            meta=self.meta,
            corrupt=tuple(self._corrupt),
        )

    def _look(self, limit: int) -> dict[int, int]:
        """How many of each partition are among the oldest of all."""
        asked = [(partition, min(limit, ROWS_PER_CALL)) for partition in self._partitions]
        ready: list[tuple[int, int]] = []
        for (partition, _), (now, _, left, meta, times, *_) in zip(asked, self._ask(asked, True), strict=True):
            self._note(partition, now, left, meta)
            ready += [(int(time), partition) for time in times.split()]
        oldest = heapq.nsmallest(limit + 1, ready)
        wanted = dict(Counter(partition for _, partition in oldest[:limit]))
        if len(oldest) > limit:
            self._left[oldest[limit][1]] = oldest[limit][0]
        return wanted

    def _note(self, partition: int, now: int, left: int, meta: int) -> int:
        self._now = max(self._now, now)
        self.meta = self.meta or bool(meta)
        self._left[partition] = NEVER if left < 0 else left
        return self._left[partition]

    def _take(self, partition: int, answer: Sequence[Any]) -> int:
        now, until, left, meta, times, lengths, rows, bodies = answer
        body_of, start = dict(zip(bodies[::2], bodies[1::2], strict=True)), 0
        for place, (time, length) in enumerate(zip(times.split(), map(int, lengths.split()), strict=True)):
            row, start = rows[start : start + length], start + length
            try:
                record = fields.claimed(row, body_of.get(place), self._request.owner, until)
                self._records.append((int(time), record))
            except CorruptRecord as error:
                self._corrupt.append(error)
        return self._note(partition, now, left, meta)

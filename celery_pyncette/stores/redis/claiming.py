"""One claim over several partitions: how the limit is shared out, and how the answers become one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key, Record
from celery_pyncette.stores.protocol import ClaimBatch, ClaimRequest
from celery_pyncette.stores.redis import fields

#: The most that one call of the script leases, so that no other client waits long.
ROWS_PER_CALL = 500


@dataclass(frozen=True, slots=True)
class Share:
    """How many records are asked of one partition."""

    partition: int
    limit: int


class Claiming:
    """Round by round: first an equal share of each partition, then the rest of those that had more.

    ``turn`` moves on with every claim, so that a small limit reaches each partition in turn.
    """

    def __init__(self, request: ClaimRequest, partitions: Sequence[int], turn: int) -> None:
        shift = turn % max(1, len(partitions))
        self._request = request
        self._open = [*partitions[shift:], *partitions[:shift]]
        self._records: dict[Key, Record] = {}
        self._corrupt: list[CorruptRecord] = []
        self._left: dict[int, int] = {}
        self._now = 0
        self._meta = False
        self.first = True

    def shares(self) -> list[Share]:
        """What to ask next; nothing once the limit is reached or nobody has more."""
        room = max(0, self._request.limit - len(self._records) - len(self._corrupt))
        if not self._open or (not self.first and not room):
            return []
        each, more = divmod(room, len(self._open))
        limits = [each + (place < more) for place in range(len(self._open))]
        return [Share(p, min(n, ROWS_PER_CALL)) for p, n in zip(self._open, limits, strict=True) if n or self.first]

    def take(self, shares: Sequence[Share], answers: Sequence[Any]) -> None:
        """Take in the answers of ``claim.lua``; one more in the first round says whether ``m:meta`` is there."""
        self._open = []
        for share, (now, until, left, meta, *rows) in zip(shares, answers, strict=False):
            self._now = max(self._now, now)
            self._left[share.partition] = NEVER if left < 0 else left
            self._meta = self._meta or bool(meta)
            if 0 <= left <= now:
                self._open.append(share.partition)
            for row in rows:
                self._add(row, until)
        if len(answers) > len(shares):
            self._meta = bool(answers[-1])
        self.first = False

    def _add(self, row: Any, until: int) -> None:
        try:
            record = fields.claimed(row, self._request.owner, until)
        except CorruptRecord as error:
            self._corrupt.append(error)
        else:
            self._records[record.key] = record

    def batch(self) -> ClaimBatch:
        return ClaimBatch(
            now=Instant(self._now),
            records=tuple(self._records.values()),
            next_ready_at=Instant(min(self._left.values(), default=NEVER)),
            meta=self._meta,
            corrupt=tuple(self._corrupt),
        )

"""A store that wakes the beats when something that it wrote is ready before they would look by themselves."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from celery_pyncette.core.errors import StoreError
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
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
    Store,
    Verdict,
    Wakes,
)

logger = logging.getLogger(__name__)


class Rousing:
    """``store``, for clients; see ``protocol.Store``.

    :param within: milliseconds; what is ready later than that is found by beats that poll.
    """

    def __init__(self, store: Store, wake_ups: Wakes, within: int) -> None:
        self.store = store
        self._wake_ups = wake_ups
        self._within = within
        self._failed = False

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        """Write, then wake the beats, if only to find out when the first of it is ready: one round trip more."""
        applied = self.store.apply(changes, seen)
        before = applied.now + self._within
        written = (c for c, w in zip(changes, applied.written, strict=True) if w.verdict is Verdict.APPLIED)
        if any(_is_ready(change, before) for change in written):
            self._wake()
        return applied

    def _wake(self) -> None:
        try:
            self._wake_ups.wake()
        except StoreError as error:  # what was written is written, and is found at the next poll
            if not self._failed:
                logger.warning("wake_up_failed: %s; beats see changes when they poll", error)
            self._failed = True

    def prepare(self, founding: Founding | None) -> Meta:
        return self.store.prepare(founding)

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        return self.store.claim(request)

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        return self.store.fetch(keys)

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        return self.store.scan(query, cursor)

    def now(self) -> Instant:
        return self.store.now()

    def close(self) -> None:
        self.store.close()


def _is_ready(change: Change, before: int) -> bool:
    records = change.creates if change.record is None else (change.record, *change.creates)
    return any(record.ready_at < before for record in records)

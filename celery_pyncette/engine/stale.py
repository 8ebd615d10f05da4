"""Static entries that nobody defines any more: removed once no live beat has had them for a while.

What is missing since when is kept in the record ``m:stale``, so that restarts do not begin the
count again; time in which no beat looked does not count. Their one-shots go with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery_pyncette.clock import new_id
from celery_pyncette.core.edits import unscheduled
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.partitions import parent_of
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.engine.keeping import KEEP_EVERY, Neighbours, keeping_record
from celery_pyncette.events import Observers, Reconciled
from celery_pyncette.stores.protocol import Query, Store, Verdict
from celery_pyncette.stores.writes import change_of

STALE = Key("m:stale")


class StaleEntries:
    """Looks for static records outside of all live manifests; each beat may, one at a time gets through."""

    def __init__(self, store: Store, neighbours: Neighbours, observers: Observers, stale_after_ms: int) -> None:
        self._store = store
        self._neighbours = neighbours
        self._observers = observers
        self._stale_after = stale_after_ms

    def sweep(self) -> int:
        """Count on for each entry that is missing, remove those missing for too long; answers how many."""
        undefined, now = self._undefined()
        before = self._store.fetch([STALE]).records[0]
        since = self._since(before, undefined, now)
        data = {"looked_at": now, "since": since}
        if before is None and not since:
            return 0
        after = keeping_record(STALE, data, "", now) if before is None else replace(before, data=data)
        change = change_of(STALE, before, Write(record=replace(after, lease=None)))
        if self._store.apply([change]).written[0].verdict is not Verdict.APPLIED:
            return 0
        return self._remove([undefined[key] for key, at in since.items() if now - at >= self._stale_after])

    def _undefined(self) -> tuple[dict[str, Record], Instant]:
        defined = self._neighbours.defined()
        found: dict[str, Record] = {
            record.key: record for record in self._scan("s:") if record.spec.name not in defined
        }
        return found, self._store.now()

    def _since(self, before: Record | None, undefined: Mapping[str, Record], now: Instant) -> dict[str, int]:
        data: Mapping[str, Any] = {} if before is None or before.data is None else before.data
        known: Mapping[str, int] = data.get("since", {})
        unwatched = max(0, now - int(data.get("looked_at", now)) - 6 * KEEP_EVERY)
        return {key: known[key] + unwatched if key in known else now for key in undefined}

    def _remove(self, records: list[Record]) -> int:
        if records:
            self._neighbours.read()  # a beat that has started since may define them again
            defined = self._neighbours.defined()
            records = [record for record in records if record.spec.name not in defined]
        if not records:
            return 0
        # First the one-shots: without their entry nobody would know any more that they are to go.
        self._unschedule([child for record in records for child in self._one_shots(record.key)])
        removed = self._unschedule(records)
        self._observers.see(Reconciled(created=0, changed=0, unchanged=0, removed=removed))
        return removed

    def _unschedule(self, records: list[Record]) -> int:
        changes = [change_of(record.key, record, unscheduled(record, new_id())) for record in records]
        written = self._store.apply(changes).written if changes else ()
        return sum(answer.verdict is Verdict.APPLIED for answer in written)

    def _one_shots(self, parent: Key) -> list[Record]:
        """Another entry's name may go on where this one's ends."""
        return [child for child in self._scan(f"o:{parent}@") if parent_of(child.key) == parent]

    def _scan(self, prefix: str) -> list[Record]:
        """All records of a prefix that are not removed already."""
        found: list[Record] = []
        cursor: str | None = None
        while True:
            page = self._store.scan(Query(prefix=prefix, limit=500), cursor)
            found += [record for record in page.records if not record.removed and record.dead is None]
            cursor = page.cursor
            if cursor is None:
                return found

"""How many records of a kind there are: counted now and then, up to a bound, over a connection of its own.

No store keeps such a number, because every write would have to keep it right. So it is counted, at a twentieth of the
thread's time at most: among a million entries on Redis, where every record is looked at, one count takes minutes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from celery_pyncette.clock import Clock
from celery_pyncette.stores.protocol import Query, Store

logger = logging.getLogger("celery_pyncette")

#: Counted again after so many seconds, up to so many.
EVERY = 60.0
MOST = 10_000
#: So many times as long as a page took it rests before the next.
_REST = 19
_PAGE = 500

#: Messages that wait in the delay queue.
PARKED = (Query(prefix="e:", dead=False, limit=_PAGE),)
#: One-offs that were given up: single occurrences, entries, messages.
DEAD = tuple(Query(prefix=prefix, dead=True, limit=_PAGE) for prefix in ("o:", "d:", "s:", "e:"))


class Census:
    """Tells how many there are, ``MOST`` if there are at least so many; None while the store is away."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        tell: Callable[[int | None], None],
        queries: Sequence[Query],
        clock: Clock,
    ) -> None:
        self._open = open_store
        self._tell = tell
        self._queries = queries
        self._clock = clock
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to count."""
        threading.Thread(target=self._run, name="pyncette-census", daemon=True).start()

    def stop(self) -> None:
        """Count no more; returns at once."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.count()
            self._stopped.wait(EVERY)

    def count(self) -> None:
        """Count once; a count that is broken off tells nothing."""
        try:
            store = self._open()
            try:
                store.prepare(None)
                found = self._counted(store)
            finally:
                store.close()
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; the beat itself says that it is away
            logger.debug("census_failed: %s", error, extra={"error": str(error)})
            self._tell(None)
        else:
            if not self._stopped.is_set():
                self._tell(found)

    def _counted(self, store: Store) -> int:
        count = 0
        for query in self._queries:
            cursor: str | None = None
            while count < MOST:
                begun = self._clock.monotonic()
                page = store.scan(query, cursor)
                count += len(page.records) + len(page.corrupt)
                cursor = page.cursor
                if cursor is None or self._stopped.wait(_REST * (self._clock.monotonic() - begun)):
                    break
        return min(count, MOST)

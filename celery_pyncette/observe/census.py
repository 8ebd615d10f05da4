"""How many messages are parked: counted now and then, up to a bound, over a connection and in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from celery_pyncette.stores.protocol import Query, Store

logger = logging.getLogger("celery_pyncette")

#: Counted every so many seconds, up to so many, in pages of so many.
EVERY = 60.0
MOST = 10_000
_PAGE = 500
_PARKED = Query(prefix="e:", limit=_PAGE)


class Census:
    """Tells how many there are, ``MOST`` if there are at least so many; None while the store is away."""

    def __init__(self, open_store: Callable[[], Store], tell: Callable[[int | None], None]) -> None:
        self._open = open_store
        self._tell = tell
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
        """Count once."""
        try:
            store = self._open()
            try:
                store.prepare(None)
                self._tell(parked(store))
            finally:
                store.close()
        except Exception as error:  # noqa: BLE001 - drivers raise what they like; the beat itself says that it is away
            logger.debug("census_failed: %s", error, extra={"error": str(error)})
            self._tell(None)


def parked(store: Store) -> int:
    """How many messages are parked, at most ``MOST``."""
    count, cursor = 0, None
    while count < MOST:
        page = store.scan(_PARKED, cursor)
        count += len(page.records) + len(page.corrupt)
        cursor = page.cursor
        if cursor is None:
            break
    return min(count, MOST)

"""A store that tries again: repeats, time budget, events, and a clock that never steps back.

What may be repeated is everything: reads change nothing, a write is known again by its
``write_id``, and records of a claim whose answer was lost stay leased until that lease ends, which
is what happens to those of a beat that died. ``StoreUnavailable`` alone is repeated.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from celery_pyncette.clock import Clock, SystemClock
from celery_pyncette.core.errors import StoreError, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
from celery_pyncette.events import Event, Observer, StoreAsked, StoreBack, StoreCalled, StoreLost
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
    WakeUps,
    wake_ups_of,
)

T = TypeVar("T")

#: Seconds before the first repeat; each further wait is twice as long, up to ``LONGEST_WAIT``.
FIRST_WAIT = 0.05
LONGEST_WAIT = 1.0


class Guarded:
    """``store``, asked again while it is unavailable; see ``protocol.Store``.

    One call lasts at most ``budget`` seconds and one time-out of the driver: no try begins once the
    budget has passed, and none is waited for that would. Each answer's ``now`` is at least the
    highest store time that this object has seen, and claims and changes are asked with it.

    :param name: what events call the store: its masked URL.
    :param budget: seconds; the store's time-out is a good choice. 0: nothing is repeated.
    :param attempts: the most tries of one call; None: as many as the budget allows.
    :param chance: numbers in [0, 1) for the jitter: a wait is between half and all of its length.
    """

    def __init__(
        self,
        store: Store,
        observer: Observer | None = None,
        *,
        name: str,
        budget: float,
        attempts: int | None = None,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.name = name
        self._budget = budget
        self._attempts = attempts
        self._observer = observer
        self._clock = clock or SystemClock()
        self._chance = chance
        self._seen = Instant(0)
        self._lost_since: float | None = None

    @property
    def seen(self) -> Instant:
        """The highest store time that was answered so far."""
        return self._seen

    @property
    def wake_ups(self) -> WakeUps | None:
        """The store's ability, as it is: a wake-up is not tried again."""
        return wake_ups_of(self.store)

    def prepare(self, founding: Founding | None) -> Meta:
        return self._call("prepare", lambda: self.store.prepare(founding))

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        asked = replace(request, seen=max(request.seen, self._seen))
        batch = self._call("claim", lambda: self.store.claim(asked))
        return replace(batch, now=self._note(batch.now))

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        """See ``protocol.Store``. A deletion whose first answer was lost answers MISSING."""
        known = max(seen, self._seen)
        applied = self._call("apply", lambda: self.store.apply(changes, known))
        return replace(applied, now=self._note(applied.now))

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        fetched = self._call("fetch", lambda: self.store.fetch(keys))
        return replace(fetched, now=self._note(fetched.now))

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        page = self._call("scan", lambda: self.store.scan(query, cursor))
        return replace(page, now=self._note(page.now))

    def now(self) -> Instant:
        return self._note(self._call("now", self.store.now))

    def close(self) -> None:
        """Release connections, once and without events: it may be called in a signal handler, and must not block."""
        self.store.close()

    def _note(self, now: Instant) -> Instant:
        # Without a lock, which a signal handler or a fork could find taken; the next answer makes a lost update good.
        seen = max(self._seen, now)
        self._seen = seen
        return seen

    def _call(self, operation: str, ask: Callable[[], T]) -> T:
        started = self._clock.monotonic()
        self._say(StoreAsked(operation=operation))
        try:
            answer = self._persist(started, ask)
        except Exception as error:
            self._say(StoreCalled(operation=operation, seconds=self._since(started), error=type(error).__name__))
            if isinstance(error, StoreUnavailable):
                self._lost(started, error)
            elif not isinstance(error, StoreError):
                self._back()
            raise
        self._say(StoreCalled(operation=operation, seconds=self._since(started)))
        self._back()
        return answer

    def _persist(self, started: float, ask: Callable[[], T]) -> T:
        wait, tries = FIRST_WAIT, 1
        while True:
            try:
                return ask()
            except StoreUnavailable:
                pause = wait * (1 + self._chance()) / 2
                out_of_tries = self._attempts is not None and tries >= self._attempts
                if out_of_tries or self._since(started) + pause >= self._budget:
                    raise
            self._clock.sleep(pause)
            wait, tries = min(wait * 2, LONGEST_WAIT), tries + 1

    def _since(self, started: float) -> float:
        return self._clock.monotonic() - started

    def _lost(self, started: float, error: StoreUnavailable) -> None:
        if self._lost_since is None:
            self._lost_since = started
            self._say(StoreLost(store=self.name, error=str(error).removeprefix(f"{self.name}: ")))

    def _back(self) -> None:
        since, self._lost_since = self._lost_since, None
        if since is not None:
            self._say(StoreBack(store=self.name, seconds=self._since(since)))

    def _say(self, event: Event) -> None:
        if self._observer is not None:
            self._observer.see(event)

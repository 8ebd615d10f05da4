"""A clock that stands still until it is told to move."""

from __future__ import annotations

import threading

from celery_pyncette.core.instants import Instant

#: 2024-01-01T00:00:00Z
START = Instant(1_704_067_200_000)


class FakeClock:
    """See ``clock.Clock``. ``sleep`` moves it on and returns at once."""

    def __init__(self, start: Instant = START) -> None:
        self._now: int = start
        self._monotonic = 0.0
        self._guard = threading.Lock()

    def now(self) -> Instant:
        return Instant(self._now)

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass, never backwards."""
        if seconds < 0:
            raise ValueError("time does not pass backwards; step() moves the wall clock alone")
        with self._guard:
            self._now += round(seconds * 1000)
            self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator or NTP does; monotonic time stays."""
        with self._guard:
            self._now += round(seconds * 1000)

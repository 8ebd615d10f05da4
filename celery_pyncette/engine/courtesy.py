"""After the store was away, workers speak first: a run is not given up for lost while its worker is about to renew it.

While a store is away leases end and nobody can renew them. Once it is back, a beat and the workers ask at the same
time; a beat that came first would send again what still runs. This is no rule that safety rests on: a late worker is
refused all the same.

A beat that starts is none the wiser, unless the store kept it waiting: leases that ended before its start are those
of lost workers, as after any restart of a beat.
"""

from __future__ import annotations

import math

from celery_pyncette.clock import Clock
from celery_pyncette.core.records import Record

#: Seconds that workers have: their keepers ask each second, and one question may take two time-outs of two seconds.
SPEAK_FIRST = 5.0
#: A claim that took so many seconds was answered after an absence.
_LONG = 2.0
#: Seconds between two courtesies: with a store that comes and goes, lost runs must still be noticed.
_REST = 60.0


class Courtesy:
    """What one beat knows of the store's absence; called from one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._away = False
        self._until = -math.inf

    def not_answered(self) -> None:
        """A claim could not be made, or was not: nothing is known of the store."""
        self._away = True

    def waited(self, asked_at: float) -> None:
        """Another question, asked at this monotonic time, was answered."""
        self._away = self._away or self._clock.monotonic() - asked_at >= _LONG

    def answered(self, asked_at: float) -> None:
        """A claim that was made at this monotonic time was answered."""
        now = self._clock.monotonic()
        away, self._away = self._away or now - asked_at >= _LONG, False
        if away and now >= self._until + _REST:
            self._until = now + SPEAK_FIRST

    def wait_ms(self, record: Record) -> int:
        """For how long a claimed record is left to its worker; 0 if it is not."""
        if record.run is None or not record.run.is_running:
            return 0
        return math.ceil(max(0.0, self._until - self._clock.monotonic()) * 1000)

"""A cron pattern on the time line, and the rule for the days on which clocks change.

**The rule**, that of Debian's cron. A pattern is *wild* if its minute or its hour is written with a leading ``*``,
or names every minute or every hour. A wild pattern follows real elapsed time: it is due at each real minute whose
local reading matches, so that an hourly job stays hourly and ``*/30`` has no hole; a reading that is skipped
is not due, one that comes twice is due twice. All other patterns name fixed local times, and these run once on both
days: where the reading is skipped, right after the gap (several such readings: once); where it comes twice, at the
first of the two. Seconds don't make a pattern wild.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import tzinfo

from celery_pyncette.core.dates import Dates
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.timeline import DAY, LAST, place, stretch_at

EVERY_MINUTE = (1 << 60) - 1
EVERY_HOUR = (1 << 24) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """Times of the day as masks (bit n is hour, minute, second n), the days, and whether it is wild."""

    hours: int
    minutes: int
    seconds: int
    dates: Dates
    wild: bool

    def next_after(self, moment: Instant, zone: tzinfo) -> Instant:
        """The first due time strictly after ``moment``; ``NEVER`` if none comes within 50 years."""
        if moment >= LAST:
            return NEVER
        return self._next_wild(moment, zone) if self.wild else self._next_fixed(moment, zone)

    def _next_fixed(self, moment: int, zone: tzinfo) -> Instant:
        stretch = stretch_at(zone, moment)
        wall = max(moment + stretch.offset, stretch.fresh - 1)
        found = self.next_reading(wall // 1000 + 1)
        if found is None:
            return NEVER
        if found * 1000 < stretch.end + stretch.offset:
            return Instant(found * 1000 - stretch.offset)
        return place(zone, found * 1000)

    def _next_wild(self, moment: int, zone: tzinfo) -> Instant:
        stretch = stretch_at(zone, moment)
        reading = (moment + stretch.offset) // 1000 + 1
        while True:
            found = self.next_reading(reading)
            end = stretch.end + stretch.offset
            if found is not None and found * 1000 < end:
                return Instant(found * 1000 - stretch.offset)
            resume = stretch.end
            if stretch_at(zone, resume).offset >= stretch.offset:  # nothing comes twice
                if found is None or found * 1000 >= LAST:
                    return NEVER
                # No reading before ``found`` matches, so that those two days before it are early enough.
                resume = max(resume, found * 1000 - 2 * DAY)
            stretch = stretch_at(zone, resume)
            reading = (resume + stretch.offset) // 1000

    def next_reading(self, reading: int) -> int | None:
        """The first matching local second not before ``reading``; None if there is none within 50 years."""
        day, second = divmod(reading, 86_400)
        found = self.dates.next_day(day)
        if found == day:
            time = self._next_time(second)
            if time is not None:
                return day * 86_400 + time
            found = self.dates.next_day(day + 1)
        return None if found is None else found * 86_400 + self._first_time()

    def _first_time(self) -> int:
        return _low(self.hours) * 3600 + _low(self.minutes) * 60 + _low(self.seconds)

    def _next_time(self, second_of_day: int) -> int | None:
        hour, rest = divmod(second_of_day, 3600)
        minute, second = divmod(rest, 60)
        if self.hours >> hour & 1:
            if self.minutes >> minute & 1:
                later = self.seconds >> second
                if later:
                    return second_of_day + _low(later)
            later = self.minutes >> (minute + 1)
            if later:
                return hour * 3600 + (minute + 1 + _low(later)) * 60 + _low(self.seconds)
        later = self.hours >> (hour + 1)
        if later:
            return (hour + 1 + _low(later)) * 3600 + _low(self.minutes) * 60 + _low(self.seconds)
        return None


def mask_of(numbers: Iterable[int]) -> int:
    """The mask with these bits."""
    return sum(1 << number for number in set(numbers))


def _low(mask: int) -> int:
    return (mask & -mask).bit_length() - 1

"""Which days a calendar pattern takes, as bits of a month."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

#: How many years ahead a date is looked for. 29 February on a given weekday comes after 40 years at most.
HORIZON = 50
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """The days of a pattern.

    Masks: bit n of ``days`` is day n, of ``months`` month n, of ``weekdays`` weekday n (0 is Sunday).
    ``nearest``: days that move to the nearest Monday to Friday of their month (``W``). ``nth``: pairs of a
    weekday and its number within the month, 0 for the last. ``years``: none for all.
    ``both``: day of the month and weekday must both match; else either is enough.
    """

    days: int
    months: int
    weekdays: int
    both: bool
    last_day: bool = False
    nearest: tuple[int, ...] = ()
    nth: frozenset[tuple[int, int]] = frozenset()
    years: frozenset[int] | None = None

    def next_day(self, day: int) -> int | None:
        """The first matching day not before ``day``, both counted from 1970-01-01; None within the horizon's reach."""
        ordinal = day + _EPOCH_ORDINAL
        if ordinal > date.max.toordinal():
            return None
        start = date.fromordinal(ordinal)
        year, month = start.year, start.month
        found = _days(self, year, month) >> start.day << start.day
        end = min(year + HORIZON, date.max.year)
        while not found:
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            if year > end:
                return None
            if self.months >> month & 1:
                found = _days(self, year, month)
        return date(year, month, (found & -found).bit_length() - 1).toordinal() - _EPOCH_ORDINAL


@lru_cache(maxsize=8192)
def _days(dates: Dates, year: int, month: int) -> int:
    if not dates.months >> month & 1 or (dates.years is not None and year not in dates.years):
        return 0
    first, length = calendar.monthrange(year, month)
    of_month = _of_month(dates, first, length)
    of_week = _of_week(dates, first, length)
    every = (2 << length) - 2
    return (of_month & of_week if dates.both else of_month | of_week) & every


def _of_month(dates: Dates, first: int, length: int) -> int:
    found = dates.days
    if dates.last_day:
        found |= 1 << length
    for day in dates.nearest:
        found |= 1 << _nearest_weekday(min(day, length), first, length)
    return found


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """Saturday moves to Friday and Sunday to Monday, but never into another month; ``first`` counts from Monday."""
    weekday = (first + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < length else day - 2
    return day


def _of_week(dates: Dates, first: int, length: int) -> int:
    found = 0
    for day in range(1, length + 1):
        weekday = (first + day) % 7
        nth = 0 if day + 7 > length else -1
        if dates.weekdays >> weekday & 1 or (
            dates.nth and ((weekday, (day + 6) // 7) in dates.nth or (weekday, nth) in dates.nth)
        ):
            found |= 1 << day
    return found

"""A time zone as stretches of constant UTC offset.

Within a stretch the wall clock runs evenly, so that all arithmetic is on integers. A gap is where the wall clock
of the next stretch begins later than the wall clock of the last one ended; an overlap, where it begins earlier.
*Wall* times are milliseconds as if the local reading were UTC.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import Instant

DAY = 86_400_000
#: Calendars end here (the year 9900); a ``datetime`` can hold a little more.
LAST = Instant(250_240_000_000_000)
_SHEET = 366 * DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND = timedelta(seconds=1)
#: More than any zone is, or was, ahead of UTC.
_FURTHEST_EAST = 16 * 3_600_000


class Stretch(NamedTuple):
    """``[start, end)`` in instants, the offset in milliseconds, and the wall time from which on nothing is a repeat."""

    start: int
    end: int
    offset: int
    fresh: int


@lru_cache(maxsize=1024)
def zone_named(name: str) -> tzinfo:
    """The zone of an IANA name.

    :raises InvalidEntry: where there is none.
    """
    if not isinstance(name, str):
        raise InvalidEntry("timezone", name, "must be the name of a time zone, as in Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidEntry("timezone", name, "is not the name of a known time zone, as in Europe/Berlin") from None


def stretch_at(zone: tzinfo, instant: int) -> Stretch:
    """The stretch that holds ``instant``; long ones are cut at places where nothing changes."""
    for stretch in _sheet(zone, instant // _SHEET):
        if instant < stretch.end:
            return stretch
    raise AssertionError("a sheet covers its whole span")  # pragma: no cover


def place(zone: tzinfo, wall: int) -> Instant:
    """The instant of a wall time: the first of two in an overlap, the end of the gap inside a gap."""
    stretch = stretch_at(zone, wall - _FURTHEST_EAST)
    while stretch.end + stretch.offset <= wall:
        stretch = stretch_at(zone, stretch.end)
    return Instant(max(wall - stretch.offset, stretch.start))


@lru_cache(maxsize=4096)
def _sheet(zone: tzinfo, number: int) -> tuple[Stretch, ...]:
    """All stretches that touch one span of 366 days.

    It looks two days further back, so that the hours after a change are known as such.
    """
    first, end = number * _SHEET, (number + 1) * _SHEET
    start = first - 2 * DAY
    offset = _offset(zone, start)
    fresh = start + offset
    stretches = []
    for day in range(start, end, DAY):
        if _offset(zone, day + DAY) == offset:
            continue
        change = _change(zone, day, day + DAY)
        after = _offset(zone, change)
        stretches.append(Stretch(start, change, offset, fresh))
        start, fresh, offset = change, change + max(offset, after), after
    if start < end:
        stretches.append(Stretch(start, end, offset, fresh))
    return tuple(stretch for stretch in stretches if stretch.end > first)


def _change(zone: tzinfo, early: int, late: int) -> int:
    """The first second with the offset of ``late``; between the two there is one change."""
    before = _offset(zone, early)
    early, late = early // 1000, late // 1000
    while late - early > 1:
        middle = (early + late) // 2
        if _offset(zone, middle * 1000) == before:
            early = middle
        else:
            late = middle
    return late * 1000


def _offset(zone: tzinfo, instant: int) -> int:
    offset = (_EPOCH + timedelta(milliseconds=instant)).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // _SECOND * 1000

"""Intervals, and one point in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import NEVER, Instant, instant_of, milliseconds
from celery_pyncette.core.timeline import DAY, LAST, place, stretch_at

HOUR = 3_600_000
MINUTE = 60_000
SECOND = 1000


def positive_milliseconds(field: str, duration: object) -> int:
    """A duration as it is written by users, as whole milliseconds.

    :raises InvalidEntry: unless it is a positive, finite number of seconds, or such a ``timedelta``.
    """
    if isinstance(duration, bool) or not isinstance(duration, (int, float, timedelta)):
        raise InvalidEntry(field, duration, "must be a number of seconds or a timedelta")
    if isinstance(duration, float) and not math.isfinite(duration):
        raise InvalidEntry(field, duration, "must be a finite number of seconds")
    try:
        whole = milliseconds(duration)
    except OverflowError:
        whole = NEVER
    if not 0 < whole < NEVER:
        raise InvalidEntry(field, duration, "must be at least one millisecond and less than 285,000 years")
    return whole


@dataclass(frozen=True, slots=True, init=False)
class Every:
    """Due at ``anchor + k * interval`` for k = 1, 2, ...: no drift, whenever it is asked.

    :param interval: seconds or a ``timedelta``, kept as ``interval_ms``, rounded to the millisecond.
    :param relative: as Celery's ``schedule(relative=True)``: whole days, hours, minutes or seconds, whichever is the
        largest that the interval holds, and on that boundary of the local clock. What the interval has beyond whole
        units counts for the first due time only. Days are calendar days. Below one second without effect.
    :raises InvalidEntry: for zero, negative, NaN, infinite, ``True``, strings.
    """

    interval_ms: int
    relative: bool

    def __init__(self, interval: int | float | timedelta, *, relative: bool = False) -> None:
        object.__setattr__(self, "interval_ms", positive_milliseconds("schedule", interval))
        object.__setattr__(self, "relative", bool(relative))

    @classmethod
    def of_milliseconds(cls, interval_ms: int, *, relative: bool = False) -> Every:
        """The same, from the whole milliseconds that it keeps."""
        if type(interval_ms) is not int:
            raise InvalidEntry("schedule", interval_ms, "must be whole milliseconds")
        return cls(timedelta(milliseconds=interval_ms), relative=relative)

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first due time strictly after ``moment``."""
        if self.relative and self.interval_ms >= SECOND:
            return self._next_relative(moment, frame)
        anchor, interval = frame.anchor, self.interval_ms
        due = max(anchor, moment - (moment - anchor) % interval) + interval
        return Instant(due) if due < NEVER else NEVER

    def latest(self, now: Instant, frame: Frame) -> Instant | None:
        """The last due time not after ``now``; None where there is no short way to tell."""
        if self.relative:
            return None
        return Instant(now - (now - frame.anchor) % self.interval_ms)

    def _next_relative(self, moment: Instant, frame: Frame) -> Instant:
        if max(moment, frame.anchor) + self.interval_ms >= LAST:
            return NEVER
        if self.interval_ms >= DAY:
            return self._next_midnight(moment, frame)
        unit = HOUR if self.interval_ms >= HOUR else MINUTE if self.interval_ms >= MINUTE else SECOND
        step = self.interval_ms // unit * unit
        # A row of points in real time, each rounded down to its local boundary; the step is not below the unit,
        # hence the rounded points keep their order.
        point = _rounded(frame.anchor + self.interval_ms, unit, frame.zone)
        if moment > point:
            point += (moment - point) // step * step
        while (due := _rounded(point, unit, frame.zone)) <= moment:
            point += step
        return Instant(due)

    def _next_midnight(self, moment: Instant, frame: Frame) -> Instant:
        step = self.interval_ms // DAY * DAY
        first = _wall(frame.anchor, frame.zone) + self.interval_ms
        first -= first % DAY
        wall = first + max(0, (_wall(moment, frame.zone) - DAY - first) // step) * step
        while (due := place(frame.zone, wall)) <= moment:
            wall += step
        return due


def _wall(instant: int, zone: tzinfo) -> int:
    return instant + stretch_at(zone, instant).offset


def _rounded(instant: int, unit: int, zone: tzinfo) -> int:
    return instant - _wall(instant, zone) % unit


@dataclass(frozen=True, slots=True, init=False)
class Once:
    """Due at one instant, and never again.

    :param at: an aware ``datetime``, or an instant.
    :raises InvalidEntry: for a naive ``datetime``, or anything else.
    """

    at: Instant

    def __init__(self, at: Instant | datetime) -> None:
        if isinstance(at, datetime):
            if at.tzinfo is None or at.utcoffset() is None:
                raise InvalidEntry("schedule", at.isoformat(), "has no time zone, and nobody knows when that is")
            at = instant_of(at)
        if type(at) is not int or not -NEVER < at < NEVER:
            raise InvalidEntry("schedule", at, "must be a datetime with a time zone, or an instant in milliseconds")
        object.__setattr__(self, "at", at)

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The instant, as long as ``moment`` is before it."""
        return self.at if moment < self.at else NEVER

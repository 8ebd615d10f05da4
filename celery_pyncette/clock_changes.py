"""Where a cron schedule meets a clock change: local times that do not exist, or come twice. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta, timezone, tzinfo

from celery_pyncette.core.frame import Frame, Schedule
from celery_pyncette.core.instants import NEVER, Instant, datetime_of
from celery_pyncette.core.schedules import Cron, CronFields, Jittered
from celery_pyncette.core.timeline import DAY, stretch_at, zone_named

_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Change:
    """At ``at`` the clock goes from one offset to another, in milliseconds; wall times as ``timeline`` has them."""

    at: int
    before: int
    after: int

    @property
    def first(self) -> int:
        """The first wall time that is missing, or that comes twice."""
        return self.at + min(self.before, self.after)

    @property
    def end(self) -> int:
        """The first one after these."""
        return self.at + max(self.before, self.after)


def warnings(schedule: Schedule, frame: Frame, first: Instant, last: Instant) -> list[str]:
    """One sentence per clock change in ``[first, last]`` that touches the schedule, at most ten.

    What runs in every hour of the day is never touched: it goes on in real time.
    """
    if isinstance(schedule, Jittered):
        schedule = schedule.schedule
    if not isinstance(schedule, (Cron, CronFields)):
        return []
    zone = frame.zone if schedule.timezone is None else zone_named(schedule.timezone)
    plain, frame = replace(schedule, timezone=None), replace(frame, zone=zone)
    said: list[str] = []
    for change in changes(zone, first, last):
        sentence = _sentence(plain, frame, change)
        if sentence is not None:
            said.append(sentence)
        if len(said) == 10:
            break
    return said


def changes(zone: tzinfo, first: Instant, last: Instant) -> Iterator[Change]:
    """The clock changes of a zone in ``[first, last]``."""
    stretch = stretch_at(zone, first - 1)
    while stretch.end <= last:
        following = stretch_at(zone, stretch.end)
        if following.offset != stretch.offset:
            yield Change(stretch.end, stretch.offset, following.offset)
        stretch = following


def _sentence(schedule: Schedule, frame: Frame, change: Change) -> str | None:
    even = replace(frame, zone=timezone.utc)  # here wall time never jumps
    reading = schedule.next_after(Instant(change.first - 1), even)
    if reading >= change.end or _hourly(schedule, even, reading):
        return None
    shown, zone = _wall(reading), frame.zone
    if change.after > change.before:
        return f"{shown} does not exist in {zone}: {_after_gap(schedule, frame, change)}"
    both = [Instant(reading - change.before), Instant(reading - change.after)]
    runs = [at for at in both if schedule.next_after(Instant(at - 1), frame) == at]
    how = "it runs at both" if len(runs) == 2 else "it runs at the first of the two"
    return f"{shown} exists twice in {zone}: {how}"


def _after_gap(schedule: Schedule, frame: Frame, change: Change) -> str:
    due = schedule.next_after(Instant(change.at - 1), frame)
    if due >= NEVER:
        return "it does not run again"
    offset = change.after if due < change.at + DAY else stretch_at(frame.zone, due).offset
    words = "it runs right after the gap, at" if due == change.at else "it is left out, and next runs at"
    return f"{words} {_wall(due + offset)}"


def _hourly(schedule: Schedule, even: Frame, reading: Instant) -> bool:
    """Whether it is due in each hour of the day of ``reading``."""
    midnight = reading // DAY * DAY
    hours = range(midnight, midnight + DAY, _HOUR)
    return all(schedule.next_after(Instant(hour - 1), even) < hour + _HOUR for hour in hours)


def _wall(wall: int) -> str:
    text = (datetime_of(Instant(0)) + timedelta(milliseconds=wall)).isoformat(sep=" ", timespec="seconds")
    return text.removesuffix("+00:00").removesuffix(":00")

"""The due times to come, and what is odd about them; pure, for ``preview_schedule`` and ``celery pyncette next``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from celery_pyncette.clock_changes import warnings as clock_warnings
from celery_pyncette.core.due_times import EntryTimes
from celery_pyncette.core.instants import NEVER, Instant, datetime_of

NEVER_FIRES = "it never fires: its schedule has no time to come"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a schedule would do.

    ``times``: the next due times in order, aware, on the clock of the zone that decides; fewer than were asked for
    where there are no more. ``warnings``: one sentence each. ``schedule``: the schedule in words.
    """

    times: tuple[datetime, ...]
    warnings: tuple[str, ...]
    schedule: str
    timezone: str


def dues_from(first: Instant, times: EntryTimes, now: Instant, count: int) -> Iterator[Instant]:
    """``first``, which may be overdue, and what is due after it and after ``now``; at most ``count``."""
    due = first
    for _ in range(count):
        if due >= NEVER:
            return
        yield due
        due = times.next_after(max(due, now))


def oddities(times: EntryTimes, now: Instant, dues: list[Instant]) -> list[str]:
    """What is odd about due times that are to come."""
    if not dues:
        return [NEVER_FIRES]
    return clock_warnings(times.schedule, times.frame, min(now, dues[0]), dues[-1])


def preview_of(times: EntryTimes, first: Instant, now: Instant, count: int, schedule: str, zone: str) -> Preview:
    """The preview of an entry that is due ``first``."""
    dues = list(dues_from(first, times, now, count))
    return Preview(
        times=tuple(datetime_of(due).astimezone(times.frame.zone) for due in dues),
        warnings=tuple(oddities(times, now, dues)),
        schedule=schedule,
        timezone=zone,
    )

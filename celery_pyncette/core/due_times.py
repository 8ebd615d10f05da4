"""The due times of one entry: its schedule in its zone, from its start to its end, with its jitter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from celery_pyncette.core.frame import Frame, Schedule
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.passed import count_between, latest_at_or_before
from celery_pyncette.core.records import EntrySpec
from celery_pyncette.core.schedules import Every, Jittered


@dataclass(frozen=True, slots=True)
class EntryTimes:
    """Due times; ``start`` and ``end`` are both included."""

    schedule: Schedule
    frame: Frame
    start: Instant | None = None
    end: Instant | None = None

    def next_after(self, moment: Instant) -> Instant:
        """The first due time strictly after ``moment``, or ``NEVER``."""
        if self.start is not None and moment < self.start:
            moment = Instant(self.start - 1)
        due = self.schedule.next_after(moment, self.frame)
        return NEVER if self.end is not None and due > self.end else due

    def latest(self, due_at: Instant, now: Instant) -> Instant:
        """The last due time that is not after ``now``; ``due_at`` is one."""
        until = now if self.end is None else min(now, self.end)
        return due_at if until <= due_at else latest_at_or_before(self.schedule, due_at, until, self.frame)

    def count(self, first: Instant, until: Instant, cap: int) -> tuple[int, bool]:
        """How many lie in ``[first, until)``, and whether there are more than ``cap``."""
        if self.end is not None:
            until = min(until, Instant(self.end + 1))
        return count_between(self.schedule, first, until, self.frame, cap)


def times_of(spec: EntrySpec, schedule: Schedule, zone: tzinfo, anchor: Instant) -> EntryTimes:
    """The due times of an entry whose intervals count from ``anchor``, or from ``start`` where it has one."""
    if spec.start is not None and isinstance(schedule, Every):
        anchor = Instant(spec.start - schedule.interval_ms)
    if spec.jitter is not None:
        schedule = Jittered(schedule, spec.jitter)
    return EntryTimes(schedule, Frame(zone, spec.name, anchor), spec.start, spec.end)

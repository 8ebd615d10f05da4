"""Which of the occurrences that are due fires, which are skipped, and what is due next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import CatchUp, Rules
from celery_pyncette.core.records import Pause, Record, Skip

#: Skipped occurrences are counted up to this; beyond it "at least" that many.
COUNT_CAP = 1000


class DueTimes(Protocol):
    """The due times of one entry: its schedule in its zone, with start, end and jitter."""

    def next_after(self, moment: Instant) -> Instant:
        """The first due time strictly after ``moment``, or ``NEVER``."""

    def latest(self, due_at: Instant, now: Instant) -> Instant:
        """The last due time that is not after ``now``; ``due_at`` is one."""

    def count(self, first: Instant, until: Instant, cap: int) -> tuple[int, bool]:
        """How many lie in ``[first, until)``, and whether there are more than ``cap``."""


@dataclass(frozen=True, slots=True)
class Skips:
    """Occurrences from ``due_at`` to ``until`` (both included) that will not run."""

    due_at: Instant
    until: Instant
    count: int
    reason: Skip
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """What is made of the occurrences that are due: one fires or none, some are skipped."""

    fire: Instant | None
    next_due: Instant
    skips: Skips | None = None

    @property
    def expected(self) -> int:
        """How many occurrences are taken up."""
        return (self.fire is not None) + (0 if self.skips is None else self.skips.count)


@dataclass(frozen=True, slots=True)
class OneTime:
    """The due times of what is due once, whatever the schedule of its entry says: an ``o:`` record."""

    at: Instant

    def next_after(self, moment: Instant) -> Instant:
        """``at``, before it; then never."""
        return self.at if moment < self.at else NEVER

    def latest(self, due_at: Instant, now: Instant) -> Instant:
        """``due_at``: nothing follows it."""
        return due_at

    def count(self, first: Instant, until: Instant, cap: int) -> tuple[int, bool]:
        """One, if it lies in ``[first, until)``."""
        return int(first < until), False


def take(due_at: Instant, now: Instant, times: DueTimes, rules: Rules, pause: Pause | None = None) -> Taken:
    """Decide about everything due from ``due_at`` to ``now``.

    LATEST skips all but the newest; ALL and NONE take them one by one. Whatever the mode, what is
    older than the grace is skipped.

    :param pause: one that is over, and may say what becomes of what it missed: with NONE all of it is skipped.
    """
    mode, reason = rules.catch_up, Skip.POLICY
    horizon = None if rules.grace is None else Instant(now - rules.grace)
    if pause is not None and due_at < pause.until:
        reason = Skip.PAUSED
        if pause.catch_up is not None:
            mode = CatchUp(pause.catch_up)
            if mode is CatchUp.NONE:
                horizon = pause.until if horizon is None else max(horizon, pause.until)
    fire = due_at
    if mode is CatchUp.LATEST:
        fire = times.latest(due_at, now)
    elif horizon is not None and due_at < horizon:
        fire = times.next_after(Instant(horizon - 1))
    if fire > now or (horizon is not None and fire < horizon):
        next_due = times.next_after(now)
        return Taken(None, next_due, _skipped(due_at, next_due, times, now, reason))
    skips = _skipped(due_at, fire, times, now, reason) if fire > due_at else None
    return Taken(fire, times.next_after(fire), skips)


def skip_all(due_at: Instant, now: Instant, times: DueTimes, reason: Skip) -> Taken:
    """Skip everything due from ``due_at`` to ``now``."""
    next_due = times.next_after(now)
    return Taken(None, next_due, _skipped(due_at, next_due, times, now, reason))


def _skipped(first: Instant, until: Instant, times: DueTimes, now: Instant, reason: Skip) -> Skips:
    end = Instant(now + 1) if until >= NEVER else until
    count, more = times.count(first, end, COUNT_CAP)
    last = first if count == 1 else times.latest(first, Instant(end - 1))
    return Skips(first, last, count, reason, more)


def times_of(record: Record, times: DueTimes) -> DueTimes:
    """One occurrence of an entry has the entry's schedule, and is due once."""
    return OneTime(record.due_at) if record.key.startswith("o:") else times

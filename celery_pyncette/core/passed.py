"""What passed while nobody looked, in bounded time: never in proportion to how much it was."""

from __future__ import annotations

from celery_pyncette.core.every import Every
from celery_pyncette.core.frame import Frame, Schedule
from celery_pyncette.core.instants import NEVER, Instant

#: The first step back from ``now``, in milliseconds; each further one is twice as long.
_FIRST_STEP = 1000


def latest_at_or_before(schedule: Schedule, due: Instant, now: Instant, frame: Frame) -> Instant:
    """The last due time not after ``now``, given that ``due`` is one, and is not after ``now`` itself.

    ``due`` need not be one that the schedule would yield (an interval's ``start``, a run put off); what follows
    it is. At most about a hundred calls of ``next_after``, for any distance.

    :raises ValueError: for a ``due`` after ``now``.
    """
    if due > now:
        raise ValueError(f"due {due} is after now {now}")
    if isinstance(schedule, Every):
        latest = schedule.latest(now, frame)
        if latest is not None:
            return max(latest, due) if latest > frame.anchor else due
    last = last_within(schedule, due, now, frame)
    return due if last is None else last


def last_within(schedule: Schedule, after: Instant, now: Instant, frame: Frame) -> Instant | None:
    """The last due time in ``(after, now]``; None if there is none."""
    found = schedule.next_after(after, frame)
    if found > now:
        return None
    low, high = _window(schedule, after, now, frame)
    # A due time lies in (low, now], none in (high, now].
    while True:
        found = schedule.next_after(low, frame)
        if found >= high or schedule.next_after(found, frame) > now:
            return found
        low = found
        middle = Instant((low + high) // 2)
        if schedule.next_after(middle, frame) > now:
            high = middle
        else:
            low = middle


def _window(schedule: Schedule, after: Instant, now: Instant, frame: Frame) -> tuple[Instant, Instant]:
    """A moment after which something falls due until ``now``, and one after which nothing does."""
    high, step = now, _FIRST_STEP
    while True:
        low = Instant(max(after, now - step))
        if low == after or schedule.next_after(low, frame) <= now:
            return low, high
        high, step = low, step * 2


def count_between(
    schedule: Schedule, first_due: Instant, until: Instant, frame: Frame, cap: int = 1000
) -> tuple[int, bool]:
    """How many due times lie in ``[first_due, until)``, ``first_due`` being one; and whether that is "at least".

    Exact for plain intervals, whatever their number; else it counts up to ``cap``.
    """
    if first_due >= until:
        return 0, False
    if isinstance(schedule, Every) and not schedule.relative:
        second = schedule.next_after(first_due, frame)
        return 1 + max(0, -((second - until) // schedule.interval_ms)), False
    count, due = 1, schedule.next_after(first_due, frame)
    while due < until and due != NEVER:
        if count >= cap:
            return count, True
        count, due = count + 1, schedule.next_after(due, frame)
    return count, False

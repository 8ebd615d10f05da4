"""When a schedule of Celery's is due, asked of the schedule itself with a clock that stands still."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def frozen(schedule, now: datetime):
    """The schedule itself, with ``nowfun`` at ``now``."""
    zone = schedule.__dict__.get("tz")
    moment = now if zone is None else now.astimezone(zone)
    schedule.nowfun = lambda: moment
    if hasattr(schedule, "nowfunc"):
        schedule.nowfunc = schedule.nowfun
    return schedule


def due(schedule, last: datetime, now: datetime) -> int:
    """Milliseconds since 1970 at which it is due after ``last``; it may have passed."""
    return ms(now + frozen(schedule, now).remaining_estimate(last))


def ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)

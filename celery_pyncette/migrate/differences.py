"""Why an entry is not due here when it is due there, in one sentence. Pure."""

from __future__ import annotations

from celery_pyncette.clock_changes import changes
from celery_pyncette.core.due_times import EntryTimes
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.schedules import Every, Jittered, Solar
from celery_pyncette.migrate.imported import Imported

#: What no rule explains; it would be a defect.
UNEXPLAINED = "for no reason that is known"
#: Times are whole milliseconds here.
_ROUNDING = 1
#: The sun's time depends by tenths of a second on where the search for it begins.
_SUN = 2_000


def difference(entry: Imported, times: EntryTimes, here: Instant, now: Instant) -> str | None:
    """None where both would run it at the same time; what is overdue is due now, in both.

    :param here: when it is due here.
    """
    if entry.due_there is None:
        return None
    there, ours = max(entry.due_there, now), max(here, now)
    tolerance = _SUN if isinstance(times.schedule, Solar) else _ROUNDING
    if abs(there - ours) <= tolerance:
        return None
    return entry.why_there or _clocks(entry, times, min(there, ours), max(there, ours)) or UNEXPLAINED


def _clocks(entry: Imported, times: EntryTimes, first: Instant, last: Instant) -> str | None:
    """Whether a clock change lies between the last run and the later of the two."""
    schedule = times.schedule.schedule if isinstance(times.schedule, Jittered) else times.schedule
    if isinstance(schedule, (Solar, Every)) and not getattr(schedule, "relative", False):
        return None
    if last >= NEVER:
        return None
    begin = first if entry.since is None else min(entry.since, first)
    if next(changes(times.frame.zone, begin, last), None) is None:
        return None
    return f"clocks change in {times.frame.zone}, and here another rule holds then"

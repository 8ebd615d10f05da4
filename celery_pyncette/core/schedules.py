"""All schedules under one roof, and as plain data.

``Cron`` (``cron.py``) and ``CronFields`` (``fields.py``), with the rule for clock changes in ``pattern.py``; ``Every``
and ``Once`` (``every.py``); ``Solar`` (``solar.py``); each of them delayed by a ``Jitter`` (``jitter.py``). What passed
meanwhile is counted in ``passed.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_pyncette.core.cron import ALIASES, Cron
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.every import Every, Once
from celery_pyncette.core.fields import CronFields
from celery_pyncette.core.frame import Frame, Schedule
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.jitter import Jitter, Jittered, jitter_from_data, jitter_to_data
from celery_pyncette.core.passed import count_between, latest_at_or_before
from celery_pyncette.core.solar import Solar

__all__ = [
    "ALIASES",
    "Cron",
    "CronFields",
    "Every",
    "Frame",
    "Jitter",
    "Jittered",
    "Once",
    "Schedule",
    "Solar",
    "check",
    "count_between",
    "from_data",
    "jitter_from_data",
    "jitter_to_data",
    "latest_at_or_before",
    "to_data",
]

_FLAGS = ("wild_minute", "wild_hour")
_SETS = ("minute", "hour", "day_of_month", "month", "day_of_week")


def check(schedule: Schedule, moment: Instant, frame: Frame) -> None:
    """Refuse a schedule that yields nothing after ``moment``, the store's now.

    ``Once`` is let through: a point in time that has passed is overdue, not impossible.

    :raises InvalidEntry: for dates that never come (30 February, a year that is over).
    """
    if not isinstance(schedule, Once) and schedule.next_after(moment, frame) == NEVER:
        raise InvalidEntry("schedule", _shown(schedule), "its dates never come", frame.name)


def _shown(schedule: Schedule) -> object:
    return schedule.expr if isinstance(schedule, Cron) else schedule


def to_data(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON values, the same for equal schedules; what has its default is left out.

    :raises InvalidEntry: for a schedule that is none of this package's.
    """
    match schedule:
        case Cron(expr, seconds, timezone):
            return _given(kind="cron", expr=expr, seconds=seconds, timezone=timezone)
        case CronFields():
            sets = {name: sorted(getattr(schedule, name)) for name in _SETS}
            wild = {name: getattr(schedule, name) or None for name in _FLAGS}
            return _given(kind="fields", **sets, **wild, timezone=schedule.timezone)
        case Every(interval_ms, relative):
            return _given(kind="every", ms=interval_ms, relative=relative or None)
        case Once(at):
            return {"kind": "once", "at": at}
        case Solar(event, lat, lon):
            return {"kind": "solar", "event": event, "lat": lat, "lon": lon}
        case Jittered(inner, jitter):
            return {"kind": "jittered", "schedule": to_data(inner), "jitter": jitter_to_data(jitter)}
    raise InvalidEntry("schedule", schedule, "has no form that can be stored")


def _given(**data: Any) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def from_data(data: Any) -> Schedule:
    """The schedule that ``to_data`` was given.

    :raises InvalidEntry: for anything that it never gives.
    """
    try:
        schedule = _built(data)
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
        schedule = None
    if schedule is None:
        raise InvalidEntry("schedule", data, "is not the stored form of a schedule")
    return schedule


def _built(data: Mapping[str, Any]) -> Schedule | None:
    fields = dict(data)
    match fields.pop("kind"):
        case "cron":
            return Cron(**fields)
        case "fields":
            wild: dict[str, Any] = {name: _flag(fields.pop(name)) for name in _FLAGS if name in fields}
            return CronFields(**{name: fields.pop(name) for name in _SETS}, **wild, **fields)
        case "every":
            return Every.of_milliseconds(fields.pop("ms"), relative=_flag(fields.pop("relative", False)), **fields)
        case "once":
            return Once(**fields)
        case "solar":
            return Solar(**fields)
        case "jittered":
            inner = from_data(fields.pop("schedule"))
            return Jittered(inner, jitter_from_data(fields.pop("jitter")), **fields)
    return None


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(value)
    return value

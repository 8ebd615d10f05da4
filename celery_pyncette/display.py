"""Schedules for people, and as Celery objects for things that look at ``entry.schedule`` (Sentry does)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

from celery import schedules as celery_schedules

from celery_pyncette.core.instants import show
from celery_pyncette.core.schedules import ALIASES, Cron, CronFields, Every, Jittered, Once, Schedule, Solar
from celery_pyncette.core.timeline import zone_named
from celery_pyncette.fingerprints import attributes, path_of
from celery_pyncette.opaque import Opaque

#: The fields of a Celery crontab in the order of a cron string, with the first and last value of each.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day_of_month", 1, 31), ("month", 1, 12), ("day_of_week", 0, 6))
_ORIGINALS = ("_orig_minute", "_orig_hour", "_orig_day_of_month", "_orig_month_of_year", "_orig_day_of_week")
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))


def describe(schedule: Schedule, original: Any = None) -> str:
    """A schedule in a few words: ``crontab: 0 4 * * *``, ``every 1 h 30 min``.

    :param original: the Celery object that it was made of; its fields are shown as they were written.
    """
    match schedule:
        case Cron(expr, seconds, zone):
            second = "" if seconds is None else f" (seconds {seconds})"
            return f"cron: {expr}{second}{_in(zone)}"
        case CronFields():
            texts = (
                field_texts(schedule) if original is None else [_text(getattr(original, name)) for name in _ORIGINALS]
            )
            return f"crontab: {' '.join(texts)}{_in(schedule.timezone)}"
        case Every():
            return f"every {duration(schedule.interval_ms)}{' (relative)' if schedule.relative else ''}"
        case Once(at):
            return f"once at {show(at)}"
        case Solar(event, lat, lon):
            return f"{event} at {lat:g}, {lon:g}"
        case Jittered(inner, jitter):
            return f"{describe(inner)}, delayed by up to {duration(jitter.window_ms)}"
        case Opaque():
            return _describe_opaque(schedule.schedule)
    return repr(schedule)


def duration(ms: int) -> str:
    """Milliseconds as ``1 h 30 min``."""
    parts = []
    for unit, size in _UNITS:
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts) or "0 s"


def field_texts(schedule: CronFields) -> list[str]:
    """The five fields in the order of a cron string, each as short as it gets."""
    fixed = {name for name in ("minute", "hour") if not getattr(schedule, f"wild_{name}")}
    return [_compact(getattr(schedule, name), first, last, name not in fixed) for name, first, last in _FIELDS]


def celery_schedule_of(schedule: Schedule, app: Any) -> Any:
    """A Celery schedule that says the same, or the nearest one that there is, for display only.

    A cron string becomes a ``crontab`` whose fields read as they were written, even where Celery could not
    evaluate them; with seconds, and for ``Once``, a ``schedule`` that only describes itself. Nothing here is ever
    asked when it is due.
    """
    match schedule:
        case Opaque():
            return schedule.schedule
        case Jittered(inner, _):
            return celery_schedule_of(inner, app)
        case Every():
            every = timedelta(milliseconds=schedule.interval_ms)
            return celery_schedules.schedule(every, schedule.relative, app=app)
        case CronFields():
            return _as_crontab(field_texts(schedule), schedule.timezone, app)
        case Cron(expr, None, zone):
            return _as_crontab(ALIASES.get(expr.lower(), expr).split(), zone, app)
        case Solar(event, lat, lon):
            return celery_schedules.solar(event, lat, lon, app=app)
    return DescribedSchedule(describe(schedule), app=app)


class DescribedCrontab(celery_schedules.crontab):  # type: ignore[misc]
    """A ``crontab`` for display whose fields Celery cannot read (``L``, ``#``, ``H``, names); it is never due."""

    def __init__(self, texts: list[str], app: Any = None) -> None:
        super().__init__(app=app)
        for name, text in zip(_ORIGINALS, texts, strict=True):
            setattr(self, name, text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ([getattr(self, name) for name in _ORIGINALS],)


class DescribedSchedule(celery_schedules.schedule):  # type: ignore[misc]
    """A ``schedule`` for display that only has a description; it is never due."""

    def __init__(self, description: str, app: Any = None) -> None:
        super().__init__(timedelta(0), app=app)
        self.description = description

    def __repr__(self) -> str:
        return f"<{self.description}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.description,)


def _as_crontab(texts: list[str], zone: str | None, app: Any) -> Any:
    minute, hour, day, month, weekday = texts
    crontab: Any = DescribedCrontab(texts, app)
    # Celery wants both day fields to match; cron either of them, if both are restricted.
    if day.startswith("*") or weekday.startswith("*"):
        with contextlib.suppress(ValueError, TypeError, LookupError, celery_schedules.ParseException):
            crontab = celery_schedules.crontab(minute, hour, weekday, day, month, app=app)
    if zone is not None:
        crontab.tz = zone_named(zone)
    return crontab


def _describe_opaque(schedule: Any) -> str:
    name = path_of(type(schedule)).rpartition(".")[2]
    held = attributes(schedule)
    if isinstance(schedule, celery_schedules.crontab):
        return f"{name}: {' '.join(_text(getattr(schedule, original, '?')) for original in _ORIGINALS)}"
    if not isinstance(held, dict):
        return str(held)
    simple = {k: v for k, v in sorted(held.items()) if isinstance(v, (int, float, str, timedelta)) and k[:1] != "_"}
    return f"{name}({', '.join(f'{k}={v}' for k, v in simple.items() if v is not False)})"[:200]


def _text(value: Any) -> str:
    if isinstance(value, Collection) and not isinstance(value, str):
        return ",".join(str(item) for item in sorted(value))
    return re.sub(r"\s+", "", str(value))


def _in(zone: str | None) -> str:
    return "" if zone is None else f" ({zone})"


def _compact(numbers: Iterable[int], first: int, last: int, starred: bool) -> str:
    values = sorted(numbers)
    if len(values) == last - first + 1:
        return "*"
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(values) > 2 and len(steps) == 1:
        step = steps.pop()
        if values[0] == first and values[-1] + step > last and step > 1 and starred:
            return f"*/{step}"
        if step == 1:
            return f"{values[0]}-{values[-1]}"
    return ",".join(map(str, values))

"""Rows of django-celery-beat and sqlalchemy-celery-beat, which share their columns, as entries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from celery import schedules as celery_schedules

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import NEVER, Instant, instant_of, show
from celery_pyncette.core.schedules import Once
from celery_pyncette.core.timeline import zone_named
from celery_pyncette.migrate.imported import Imported, due_after, kept_options, read_schedule, refused, started

#: The columns of a task, the same in both.
TASK_COLUMNS = (
    *("name", "task", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority", "expires"),
    *("expire_seconds", "one_off", "start_time", "enabled", "last_run_at", "total_run_count", "date_changed"),
)
#: The columns of each kind of schedule, in the order in which django-celery-beat looks at them.
SCHEDULE_COLUMNS = {
    "interval": ("every", "period"),
    "crontab": ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"),
    "solar": ("event", "latitude", "longitude"),
    "clocked": ("clocked_time",),
}
_ROUTES = ("queue", "exchange", "routing_key", "priority")
_MILLISECOND = timedelta(milliseconds=1)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Where the two differ.

    ``counts_from_change``: an entry that never ran counts from its last change, else from the start of the beat.
    ``expires_ends``: it is switched off when it expires; else it is sent on, for workers to throw away.
    ``waits_for_match``: after its start, a crontab waits until it matches; else it runs at the start itself.
    """

    scheduler: str
    counts_from_change: bool
    expires_ends: bool
    waits_for_match: bool


@dataclass(frozen=True, slots=True)
class _Clock:
    """A row's times, as instants; ``schedule`` is Celery's, None for one that is due once."""

    schedule: Any
    zone: str | None
    once: Instant | None
    last: Instant | None
    start: Instant | None
    expires: Instant | None


def entry_of(row: Row, kind: str | None, habits: Habits, app: Any, now: Instant) -> Imported:
    """The entry that a row means; one that cannot be read says so in ``problem``."""
    name = str(row["name"])
    try:
        return _entry(name, row, kind, habits, app, now)
    except InvalidEntry as error:
        return refused(name, f"{error.field}={error.value!r}: {error.rule}")
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        return refused(name, error)


def _entry(name: str, row: Row, kind: str | None, habits: Habits, app: Any, now: Instant) -> Imported:
    if kind is None:
        return refused(name, "its schedule is not in the database any more")
    clock = _clock(row, kind)
    schedule = Once(clock.once) if clock.once is not None else read_schedule(clock.schedule, app)
    options, notes = kept_options(_options(row), app)
    if kind == "interval" and _span(row) % _MILLISECOND:
        notes.append("its interval is rounded to whole milliseconds")
    if clock.expires is not None and not habits.expires_ends:
        notes.append(f"not sent any more after {show(clock.expires)}; there it is, and workers throw it away")
    since = _since(row, clock, habits)
    entry = Imported(
        name=name,
        task=row["task"],
        schedule=schedule,
        args=json.loads(row["args"] or "[]"),
        kwargs=json.loads(row["kwargs"] or "{}"),
        options=options,
        enabled=bool(row["enabled"]),
        since=since,
        last_run_at=clock.last,
        total_run_count=int(row["total_run_count"] or 0),
        start=started(schedule, clock.last, clock.start),
        end=None if clock.expires is None else Instant(clock.expires - 1),
        one_off=bool(row["one_off"]),
        timezone=clock.zone,
        notes=tuple(notes),
    )
    if not entry.enabled:
        return replace(entry, over=_over(entry, clock, None, now))
    there, why = _due_there(clock, since, habits, app, now)
    return replace(entry, due_there=there, why_there=why, over=_over(entry, clock, there, now))


def _clock(row: Row, kind: str) -> _Clock:
    once, zone, schedule = None, None, None
    start = _instant(row["start_time"])
    if kind == "interval":
        schedule = celery_schedules.schedule(_span(row))
    elif kind == "crontab":
        fields = {name: row[name] for name in SCHEDULE_COLUMNS["crontab"][:-1]}
        zone = str(row["timezone"] or "UTC")
        schedule = celery_schedules.crontab(**fields)
        schedule.tz = zone_named(zone)
    elif kind == "solar":
        schedule = celery_schedules.solar(_word(row["event"]), float(row["latitude"]), float(row["longitude"]))
    else:
        once = _instant(row["clocked_time"])
        assert once is not None
        once = max(once, start or once)
    return _Clock(schedule, zone, once, _instant(row["last_run_at"]), start, _instant(row["expires"]))


def _since(row: Row, clock: _Clock, habits: Habits) -> Instant | None:
    if clock.once is not None:
        return None
    if clock.last is not None:
        return clock.last
    if clock.start is not None:
        return Instant(clock.start - 1)
    return _instant(row["date_changed"]) if habits.counts_from_change else None


def _due_there(
    clock: _Clock, since: Instant | None, habits: Habits, app: Any, now: Instant
) -> tuple[Instant | None, str]:
    """When the other scheduler runs it next, and what is special about that."""
    if clock.once is not None:
        return clock.once, ""
    cron, start = clock.zone is not None, clock.start
    zone = zone_named(clock.zone) if clock.zone is not None else None
    if start is None:  # without anything to count from, a beat counts from its own start, here as there
        return None if since is None else due_after(clock.schedule, since, app, zone), ""
    if start <= now:
        if clock.last is not None:
            return due_after(clock.schedule, clock.last, app, zone), ""
        return now, f"{habits.scheduler} runs it at once: its start has passed, and it never ran"
    wait, why = start, ""
    if cron and habits.waits_for_match:
        wait, why = due_after(clock.schedule, start, app, zone), "there a run at the start itself is left out"
    elif not isinstance(clock.schedule, celery_schedules.crontab) or not cron:
        why = f"{habits.scheduler} runs it at its start"
    else:
        why = f"{habits.scheduler} runs it at its start, whether its crontab matches or not"
    return wait if clock.last is None else max(wait, due_after(clock.schedule, clock.last, app, zone)), why


def _over(entry: Imported, clock: _Clock, there: Instant | None, now: Instant) -> str | None:
    if entry.one_off and not entry.enabled:
        return "a one-off that is switched off: it has run, or is not wanted"
    if entry.one_off and entry.total_run_count > 0:
        return "a one-off that has run"
    expires = clock.expires
    if expires is not None and expires <= now:
        return f"it expired at {show(expires)}"
    if expires is not None and there is not None and there < NEVER and there >= expires:
        return f"it expires at {show(expires)}, before it is due again"
    return None


def _options(row: Row) -> dict[str, Any]:
    options = {name: row[name] for name in _ROUTES if row[name] not in (None, "")}
    options["headers"] = json.loads(row["headers"] or "{}")
    expires = row["expires"] or row["expire_seconds"]
    if expires:
        options["expires"] = _aware(expires) if isinstance(expires, datetime) else expires
    return options


def _span(row: Row) -> timedelta:
    period = _word(row["period"])
    if period not in ("days", "hours", "minutes", "seconds", "microseconds"):
        raise InvalidEntry("period", period, "must be days, hours, minutes, seconds or microseconds")
    return timedelta(**{period: int(row["every"])})


def _word(value: Any) -> str:
    """The text of an enum's member, or of a column."""
    return str(getattr(value, "value", value))


def _aware(moment: datetime) -> datetime:
    """What is naive is UTC: so both write it, and so Celery reads it."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else instant_of(_aware(moment))

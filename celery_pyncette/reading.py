"""Celery's schedules and time zones -> this package's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta, tzinfo
from typing import Any

from celery import schedules as celery_schedules

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.schedules import Cron, CronFields, Every, Jittered, Once, Solar
from celery_pyncette.core.timeline import zone_named
from celery_pyncette.opaque import Opaque, zone_of_schedule

_OURS = (Cron, CronFields, Every, Once, Solar, Jittered, Opaque)
_READABLE = (celery_schedules.crontab, celery_schedules.schedule, celery_schedules.solar)


def schedule_of(value: Any, app: Any, *, relative: bool = False) -> tuple[Schedule, tzinfo | None]:
    """The schedule that ``value`` means, and its own zone if it has one that differs from the app's.

    A ``crontab``, ``schedule`` or ``solar`` of exactly these types, without ``nowfun``, is read; so are seconds,
    a ``timedelta``, a cron string, and this package's own. All else with a ``remaining_estimate`` is ``Opaque``.

    :param relative: Celery's entry key; counts for seconds and ``timedelta`` only.
    :raises InvalidEntry: for field ``schedule``.
    """
    if isinstance(value, str):
        return Cron(value), None
    if isinstance(value, _OURS):
        return value, None
    if isinstance(value, (int, float, timedelta)):
        return Every(value, relative=relative), None
    if isinstance(value, celery_schedules.BaseSchedule):
        value.app = app  # as Celery does
    zone = _own_zone(value, app)
    if getattr(value, "nowfun", None) is None:
        if type(value) is celery_schedules.crontab:
            return _fields_of(value), zone
        if type(value) is celery_schedules.schedule:
            return Every(value.run_every, relative=bool(value.relative)), zone
        if type(value) is celery_schedules.solar:
            return Solar(value.event, value.lat, value.lon), zone
    if isinstance(value, type) or not callable(getattr(value, "remaining_estimate", None)):
        raise InvalidEntry("schedule", value, "must be seconds, a timedelta, a cron string, or a schedule object")
    return Opaque(value), zone


def zone_of(app: Any) -> tzinfo:
    """The zone of an app, from ``timezone`` and ``enable_utc``. :raises ConfigurationError: for one that isn't."""
    try:
        return named_zone(app.timezone)
    except (KeyError, ValueError, OSError, InvalidEntry) as error:
        raise ConfigurationError(f"timezone={app.conf.timezone!r} is not a known time zone: {error}") from error


def named_zone(zone: tzinfo) -> tzinfo:
    """The ``ZoneInfo`` of a zone of pytz or dateutil, else the zone itself.

    :raises InvalidEntry: for a zone that has no name and cannot be hashed.
    """
    for name in (getattr(zone, "zone", None), str(getattr(zone, "_filename", "")).rpartition("zoneinfo/")[2]):
        if isinstance(name, str) and name:
            return zone_named(name)
    if type(zone).__hash__ is None:
        raise InvalidEntry("timezone", repr(zone), "is a zone without a name; use zoneinfo.ZoneInfo")
    return zone


def _own_zone(schedule: Any, app: Any) -> tzinfo | None:
    own = (
        schedule.__dict__.get("tz")
        if type(schedule) in _READABLE and schedule.nowfun is None
        else zone_of_schedule(schedule)
    )
    if own is None:
        return None
    own = named_zone(own)
    return None if own == zone_of(app) else own


def _fields_of(crontab: Any) -> CronFields:
    return CronFields(
        minute=_numbers(crontab.minute),
        hour=_numbers(crontab.hour),
        day_of_month=_numbers(crontab.day_of_month),
        month=_numbers(crontab.month_of_year),
        day_of_week=_numbers(crontab.day_of_week),
        wild_minute=str(crontab._orig_minute).startswith("*"),
        wild_hour=str(crontab._orig_hour).startswith("*"),
    )


def _numbers(values: Iterable[Any]) -> frozenset[int]:
    return frozenset(int(value) for value in values)

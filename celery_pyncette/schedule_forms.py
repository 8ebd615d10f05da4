"""When an entry shall be due: what callers give as schedule, interval, times and zone -> this package's types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Protocol

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.schedules import Cron, CronFields, Every, Jittered, Once, Solar
from celery_pyncette.core.timeline import place, zone_named
from celery_pyncette.fingerprints import zone_key
from celery_pyncette.reading import schedule_of

#: A cron string or alias, ``Cron``, ``Every``, ``Once``, or Celery's ``crontab``, ``schedule``, ``solar``.
AnySchedule = str | Schedule | Any
_WALL = datetime(1970, 1, 1)  # noqa: DTZ001 - a reading of a wall clock
_MILLISECOND = timedelta(milliseconds=1)
_STORED = (Cron, CronFields, Every, Once, Solar)


class House(Protocol):
    """What bears on every entry of an app."""

    app: Any
    zone: tzinfo
    max_payload: int
    allowed_tasks: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One entry as a caller gives it; see ``schedule_task`` for the fields."""

    task: object
    name: object
    schedule: object = None
    interval: object = None
    execute_at: object = None
    args: object = ()
    kwargs: object = None
    options: object = None
    timezone: object = None
    start: object = None
    end: object = None
    max_runs: object = None
    jitter: object = None
    policy: object = None
    tenant: object = None


def when(form: Form, house: House) -> tuple[Schedule, tzinfo, str | None]:
    """The schedule of a form, the zone that its clock is read in, and that zone's name if it has one."""
    said = [word for word in ("schedule", "interval", "execute_at") if getattr(form, word) is not None]
    if len(said) != 1:
        rule = "give exactly one of schedule, interval and execute_at"
        raise InvalidEntry(said[1] if said else "schedule", getattr(form, said[1]) if said else None, rule)
    given_zone = None if form.timezone is None else _zone(form.timezone)
    own_zone: tzinfo | None = None
    schedule: Schedule
    if form.interval is not None:
        schedule = _interval(form.interval)
    elif form.execute_at is not None:
        at = moment("execute_at", form.execute_at, given_zone)
        assert at is not None
        schedule = Once(at)
    else:
        schedule, own_zone = _schedule(form.schedule, house)
    if own_zone is not None and given_zone is not None and own_zone != given_zone:
        raise InvalidEntry("timezone", form.timezone, f"the schedule itself says {zone_key(own_zone)}")
    zone = given_zone or own_zone or house.zone
    name = "UTC" if zone is timezone.utc else getattr(zone, "key", None)
    return schedule, zone, name if isinstance(name, str) else None


def _schedule(given: object, house: House) -> tuple[Schedule, tzinfo | None]:
    if isinstance(given, (int, float, timedelta)):
        raise InvalidEntry("schedule", given, "must be a cron string or a schedule; pass seconds as interval=")
    if isinstance(given, datetime):
        raise InvalidEntry("schedule", given, "must be a cron string or a schedule; pass a time as execute_at=")
    schedule, zone = schedule_of(given, house.app)
    if isinstance(schedule, Jittered):
        raise InvalidEntry("schedule", given, "pass the jitter as jitter=")
    if not isinstance(schedule, _STORED):
        rule = "a schedule of this class cannot be stored: use Cron, or Celery's crontab, schedule or solar"
        raise InvalidEntry("schedule", given, rule)
    if isinstance(schedule, Once):
        _check_range("schedule", schedule.at)
    return schedule, zone


def _interval(given: Any) -> Every:
    if isinstance(given, Every):
        return given
    try:
        return Every(given)
    except InvalidEntry as error:
        raise InvalidEntry("interval", given, error.rule) from None


def moment(field: str, value: object, zone: tzinfo | None) -> Instant | None:
    """The instant of a ``datetime``; a naive one is read in ``zone``, which the caller must have named.

    :raises InvalidEntry: for anything else, and before 1970.
    """
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidEntry(field, value, "must be a datetime with a time zone")
    if value.utcoffset() is not None:
        return _check_range(field, instant_of(value))
    if zone is None:
        raise InvalidEntry(field, value.isoformat(), "has no time zone: give it one, or say timezone=")
    return _check_range(field, place(zone, (value.replace(tzinfo=None) - _WALL) // _MILLISECOND))


def _check_range(field: str, at: Instant) -> Instant:
    if at < 0:
        raise InvalidEntry(field, at, "must not be before 1970")
    return at


def _zone(given: object) -> tzinfo:
    if isinstance(given, str):
        return zone_named(given)
    key = getattr(given, "key", None) or getattr(given, "zone", None)
    if isinstance(given, tzinfo) and isinstance(key, str):
        return zone_named(key)
    if given is timezone.utc:
        return zone_named("UTC")
    raise InvalidEntry("timezone", given, "must be the name of a time zone, as in Europe/Berlin, or a ZoneInfo")

"""``beat_schedule`` -> entries; single schedules are read in ``reading.py``, shown in ``display.py``."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from typing import Any

from celery import schedules as celery_schedules
from celery.beat import ScheduleEntry

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry, PyncetteError
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.records import EntrySpec, Key, Origin
from celery_pyncette.core.schedules import Cron, CronFields
from celery_pyncette.display import celery_schedule_of, describe
from celery_pyncette.fingerprints import payload_of, timing_of
from celery_pyncette.opaque import Opaque
from celery_pyncette.reading import named_zone, schedule_of, zone_of

__all__ = [
    "Opaque",
    "StaticEntry",
    "celery_schedule_of",
    "default_entries",
    "describe",
    "named_zone",
    "schedule_of",
    "spec_of",
    "static_key",
    "translate_all",
    "zone_of",
]

#: Keys longer than this (in bytes) are hashed: stores index them.
LONGEST_KEY = 600
#: What stock beat takes, and ``enabled``. The last two are what stock beat overwrites or counts itself.
_ACCEPTED = ("task", "schedule", "args", "kwargs", "options", "relative", "enabled")
_IGNORED = ("name", "app", "last_run_at", "total_run_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticEntry:
    """One entry of ``beat_schedule``, understood.

    :param spec: all of it; args, kwargs and options are the user's own objects, to be copied before they are changed.
    :param thin: what the store keeps: name, task, zone and a description for people.
    :param schedule: its schedule; never stored.
    :param zone: where its clock is read.
    :param timing, payload: fingerprints, the same in every process.
    :param celery_schedule: what ``entry.schedule`` shows; the user's own object wherever there is one.
    :param cron: whether ``beat_cron_starting_deadline`` is meant for it.
    """

    name: str
    key: Key
    spec: EntrySpec
    thin: EntrySpec
    schedule: Schedule
    zone: tzinfo
    timing: str
    payload: str
    celery_schedule: Any
    cron: bool


def spec_of(name: Any, entry: Mapping[str, Any] | ScheduleEntry, app: Any) -> StaticEntry:
    """An entry of ``beat_schedule`` as stock beat would read it.

    :raises ConfigurationError: for an unknown key. :raises InvalidEntry: for a value that cannot be.
    """
    name = name if isinstance(name, str) else str(name)
    given = _given(name, entry)
    try:
        return _translated(name, given, app)
    except InvalidEntry as error:
        if error.entry is None:
            raise InvalidEntry(error.field, error.value, error.rule, name) from error.__cause__
        raise


def translate_all(app: Any) -> tuple[dict[str, StaticEntry], dict[str, PyncetteError]]:
    """All static entries of an app, Celery's own included, and those that cannot be, each with its error.

    :raises ConfigurationError: if ``beat_schedule`` is not a dict at all.
    """
    given = app.conf.beat_schedule or {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"beat_schedule must be a dict of entries, not {type(given).__name__}")
    entries: dict[str, StaticEntry] = {}
    rejected: dict[str, PyncetteError] = {}
    for name, entry in {**given, **default_entries(app)}.items():
        try:
            entries[str(name)] = spec_of(name, entry, app)
        except PyncetteError as error:
            rejected[str(name)] = error
        except Exception as error:  # noqa: BLE001 - one entry must not cost the others their run
            rejected[str(name)] = ConfigurationError(f"entry {name!r} cannot be read: {type(error).__name__}: {error}")
    return entries, rejected


def default_entries(app: Any) -> dict[str, Any]:
    """What Celery adds by itself: the nightly clean-up of results, where the backend needs one."""
    name = "celery.backend_cleanup"
    if not app.conf.result_expires or app.backend.supports_autoexpire or name in (app.conf.beat_schedule or {}):
        return {}
    four = celery_schedules.crontab("0", "4", "*")
    return {name: {"task": name, "schedule": four, "options": {"expires": 12 * 3600}}}


def static_key(name: str) -> Key:
    """The key of a static entry's record; a very long name is hashed."""
    key = f"s:{name}"
    if len(key.encode()) > LONGEST_KEY:
        key = f"s:#{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"
    return Key(key)


def _given(name: str, entry: Any) -> dict[str, Any]:
    if isinstance(entry, ScheduleEntry):
        return {key: getattr(entry, key) for key in ("task", "schedule", "args", "kwargs", "options")}
    if not isinstance(entry, Mapping):
        raise InvalidEntry("beat_schedule", entry, "an entry must be a dict with task and schedule", name)
    for key in entry:
        if key not in _ACCEPTED and key not in _IGNORED:
            raise ConfigurationError(f"entry {name!r}: {key!r} is no key of an entry{_hint(str(key))}")
    return dict(entry)


def _hint(key: str) -> str:
    close = difflib.get_close_matches(key, _ACCEPTED, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return "; policies belong into pyncette_policies, send options such as queue and expires under 'options'"


def _translated(name: str, given: dict[str, Any], app: Any) -> StaticEntry:
    _check_name(name)
    task, value = given.get("task"), given.get("schedule")
    if not isinstance(task, str) or not task:
        raise InvalidEntry("task", task, "must be the name of a task, as a string")
    if value is None:
        raise InvalidEntry("schedule", value, "is missing")
    schedule, own_zone = schedule_of(value, app, relative=bool(given.get("relative")))
    zone = zone_of(app) if own_zone is None else own_zone
    spec = EntrySpec(
        name=name,
        task=task,
        origin=Origin.STATIC,
        schedule=schedule,
        description=describe(schedule, value if type(value) is celery_schedules.crontab else None),
        args=_args(given.get("args")),
        kwargs=_mapping("kwargs", given.get("kwargs")),
        options=_options(given.get("options")),
        timezone=key if isinstance(key := getattr(zone, "key", None), str) else None,
        enabled=bool(given.get("enabled", True)),
    )
    return StaticEntry(
        name=name,
        key=static_key(name),
        spec=spec,
        thin=replace(spec, schedule=None, args=(), kwargs={}, options={}),
        schedule=schedule,
        zone=zone,
        timing=timing_of(spec, schedule, zone),
        payload=payload_of(spec),
        celery_schedule=value
        if isinstance(value, celery_schedules.BaseSchedule)
        else celery_schedule_of(schedule, app),
        cron=isinstance(schedule, (Cron, CronFields)) or isinstance(value, celery_schedules.crontab),
    )


def _check_name(name: str) -> None:
    if not name:
        raise InvalidEntry("name", name, "must not be empty")
    if "\x00" in name or any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        raise InvalidEntry("name", name, "must hold no NUL and no lone surrogates: stores cannot keep them")


def _args(given: Any) -> tuple[Any, ...]:
    if not isinstance(given, (Iterable, type(None))):
        raise InvalidEntry("args", given, "must be a list or tuple")
    return tuple(given or ())


def _mapping(field: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, (Mapping, type(None))):
        raise InvalidEntry(field, given, "must be a dict")
    return given or {}


def _options(given: Any) -> Mapping[str, Any]:
    options = _mapping("options", given)
    expires = options.get("expires")
    # Celery takes a timedelta for eta and expires of no message; here it means the same as seconds.
    return {**options, "expires": expires.total_seconds()} if isinstance(expires, timedelta) else options

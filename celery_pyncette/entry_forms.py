"""What callers of ``schedule_task`` give -> an entry that can be stored, or ``InvalidEntry``."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from celery_pyncette.core.codec import policy_to_data
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.instants import Instant, datetime_of, show
from celery_pyncette.core.records import EntrySpec, Key, Origin
from celery_pyncette.core.schedules import (
    Once,
    jitter_to_data,
    to_data,
)
from celery_pyncette.entry_checks import check_name, check_size
from celery_pyncette.entry_fields import args_of, jitter_of, kwargs_of, max_runs_of, policy_of, task_name
from celery_pyncette.fingerprints import is_local, zone_key
from celery_pyncette.schedule_forms import Form, House, moment, when
from celery_pyncette.send_options import options_of
from celery_pyncette.time_limits import expiry

#: The keywords of ``schedule_task`` that say what the entry is.
WORDS = (
    *("task", "name", "schedule", "interval", "execute_at", "args", "kwargs", "options", "timezone", "start", "end"),
    *("max_runs", "jitter", "policy", "tenant"),
)


@dataclass(frozen=True, slots=True)
class Understood:
    """An entry that can be stored, with the schedule and the zone that decide when it is due.

    ``timing`` and ``payload`` are fingerprints, as those of ``fingerprints.py``; but what is JSON already needs no
    long search for its canonical form.
    """

    spec: EntrySpec
    schedule: Schedule
    zone: tzinfo

    @property
    def timing(self) -> str:
        spec, schedule = self.spec, self.schedule
        zone = zone_key(self.zone) if is_local(schedule) else None
        jitter = None if spec.jitter is None else jitter_to_data(spec.jitter)
        return _print([to_data(schedule), zone, spec.start, spec.end, jitter])

    @property
    def payload(self) -> str:
        spec = self.spec
        policy = None if spec.policy is None else policy_to_data(spec.policy)
        return _print([spec.task, spec.args, spec.kwargs, spec.options, spec.max_runs, policy, spec.tenant])


_canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True, check_circular=False).encode


def _print(value: object) -> str:
    return hashlib.blake2b(_canonical(value).encode(), digest_size=8).hexdigest()


def dynamic_key(name: str) -> Key:
    """The key of a dynamic entry's record."""
    return Key(f"d:{name}")


def form_of(given: object) -> Form:
    """A form from a dict with the keywords of ``schedule_task``, or from an ``EntrySpec``.

    :raises InvalidEntry: for an unknown key, or something else.
    """
    if isinstance(given, EntrySpec):
        return _form_of_spec(given)
    if not isinstance(given, Mapping):
        raise InvalidEntry("entry", given, "must be a dict with the keywords of schedule_task, or an EntrySpec")
    for key in given:
        if key not in WORDS:
            close = difflib.get_close_matches(str(key), WORDS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidEntry(str(key), given[key], f"is no keyword of schedule_task{hint}", _named(given))
    for key in ("task", "name"):
        if key not in given:
            raise InvalidEntry(key, None, "is missing", _named(given))
    return Form(**given)


def _form_of_spec(spec: EntrySpec) -> Form:
    if not spec.enabled:
        raise InvalidEntry("enabled", False, "a dynamic entry is paused, not disabled; see pause_task", spec.name)
    said = {word: getattr(spec, word) for word in WORDS if word not in ("interval", "execute_at", "start", "end")}
    start, end = (None if at is None else datetime_of(at) for at in (spec.start, spec.end))
    return Form(**said, start=start, end=end)


def _named(given: Mapping[Any, Any]) -> str | None:
    name = given.get("name")
    return name if isinstance(name, str) else None


def understood(form: Form, house: House) -> Understood:
    """The entry that a form means; everything is checked that can be without the store.

    :raises InvalidEntry: naming the field, the value and the rule, and the entry where it has a name.
    """
    name = check_name("name", form.name)
    try:
        return _understood(form, name, house)
    except InvalidEntry as error:
        if error.entry is None:
            raise InvalidEntry(error.field, error.value, error.rule, name) from error.__cause__
        raise


def _understood(form: Form, name: str, house: House) -> Understood:
    task = task_name(form.task, house.allowed_tasks)
    schedule, zone, zone_name = when(form, house)
    given_zone = None if form.timezone is None else zone
    start, end = moment("start", form.start, given_zone), moment("end", form.end, given_zone)
    if start is not None and end is not None and end < start:
        raise InvalidEntry("end", form.end, "must not be before start")
    once = isinstance(schedule, Once)
    if once and (start is not None or end is not None):
        raise InvalidEntry("start" if end is None else "end", form.start or form.end, "execute_at stands alone")
    args, kwargs = args_of(form.args), kwargs_of(form.kwargs)
    options = options_of(form.options, house.zone)
    _check_expires(options, schedule.at if isinstance(schedule, Once) else start, house)
    if args or kwargs or options:
        check_size({"args": args, "kwargs": kwargs, "options": options}, house.max_payload)
    spec = EntrySpec(
        name=name,
        task=task,
        origin=Origin.DYNAMIC,
        schedule=schedule,
        args=tuple(args),
        kwargs=kwargs,
        options=options,
        timezone=zone_name,
        start=start,
        end=end,
        max_runs=max_runs_of(form.max_runs, once),
        jitter=jitter_of(form.jitter),
        policy=policy_of(form.policy),
        tenant=None if form.tenant is None else check_name("tenant", form.tenant),
    )
    return Understood(spec, schedule, zone)


def _check_expires(options: Mapping[str, Any], first: Instant | None, house: House) -> None:
    """Refuse a deadline before the first due time that there can be."""
    if first is None or "expires" not in options:
        return
    _, expires_at = expiry(options["expires"], house.zone)
    if expires_at is not None and expires_at < first:
        raise InvalidEntry("options.expires", options["expires"], f"is before the first due time ({show(first)})")

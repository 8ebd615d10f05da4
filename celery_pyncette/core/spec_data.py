"""EntrySpec <-> plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_pyncette.core import schedules
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.policy_data import policy_from_data, policy_to_data
from celery_pyncette.core.specs import EntrySpec, Origin

_ORIGINS = {origin.value: origin for origin in Origin}
_schedules: dict[str, Schedule] = {}


def spec_to_data(spec: EntrySpec) -> dict[str, Any]:
    """An entry as JSON-able data, canonical: equal specs give equal data."""
    data: dict[str, Any] = {"name": spec.name, "task": spec.task, "origin": spec.origin.value}
    if spec.schedule is not None:
        data["schedule"] = schedules.to_data(spec.schedule)
    if spec.args:
        data["args"] = list(spec.args)
    if spec.kwargs:
        data["kwargs"] = dict(spec.kwargs)
    if spec.options:
        data["options"] = dict(spec.options)
    for name in ("description", "timezone", "start", "end", "max_runs", "tenant"):
        value = getattr(spec, name)
        if value is not None and value != "":
            data[name] = value
    if spec.jitter is not None:
        data["jitter"] = schedules.jitter_to_data(spec.jitter)
    if spec.policy is not None:
        data["policy"] = policy_to_data(spec.policy)
    if not spec.enabled:
        data["enabled"] = False
    return data


def spec_from_data(data: Mapping[str, Any]) -> EntrySpec:
    """The entry of such data. :raises InvalidEntry, KeyError, TypeError, ValueError: if it is none."""
    get = data.get
    schedule, jitter, policy = get("schedule"), get("jitter"), get("policy")
    return EntrySpec(
        name=data["name"],
        task=data["task"],
        origin=_ORIGINS[data["origin"]],
        schedule=None if schedule is None else _schedule(schedule),
        description=get("description", ""),
        args=tuple(get("args", ())),
        kwargs=get("kwargs", {}),
        options=get("options", {}),
        timezone=get("timezone"),
        start=get("start"),
        end=get("end"),
        max_runs=get("max_runs"),
        jitter=None if jitter is None else schedules.jitter_from_data(jitter),
        policy=None if policy is None else policy_from_data(policy),
        tenant=get("tenant"),
        enabled=get("enabled", True),
    )


def _schedule(data: Any) -> Schedule:
    """One object for all entries with the same schedule: few schedules, many entries. They are immutable."""
    text = repr(data)
    known = _schedules.get(text)
    if known is None:
        known = schedules.from_data(data)
        if len(_schedules) >= 1024:
            _schedules.clear()
        _schedules[text] = known
    return known

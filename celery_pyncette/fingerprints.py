"""Fingerprints of definitions: equal for equal definitions in every process, on every host, after every restart.

What is fingerprinted is brought into canonical JSON first. Objects that have no such form are told by their class's
qualified name and their attributes, functions by their qualified name; memory addresses, the order of dicts and sets,
and the hash seed of the process never get in.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import functools
import hashlib
import json
import re
import types
import uuid
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from celery_pyncette.core.codec import policy_to_data
from celery_pyncette.core.records import EntrySpec
from celery_pyncette.core.schedules import Every, Jittered, Once, Schedule, Solar, jitter_to_data, to_data

#: Deeper than this, objects are told by their class alone.
_DEEPEST = 12
#: How many levels an object's attributes count for: graphs of objects are not followed far.
_OBJECT = 2
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
#: Attributes that say where an object lives, not what it is.
_PLACES = frozenset({"app", "_app", "_state"})


def digest(value: Any) -> str:
    """16 hexadecimal digits for anything at all."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def timing_of(spec: EntrySpec, schedule: Schedule, zone: dt.tzinfo) -> str:
    """The fingerprint of when an entry is due; ``zone`` is the one that decides, with the app's as the last resort.

    :param schedule: the entry's own, also where ``spec`` is thin.
    """
    return digest(
        {
            "schedule": _schedule(schedule),
            "zone": zone_key(zone) if is_local(schedule) else None,
            "start": spec.start,
            "end": spec.end,
            "jitter": None if spec.jitter is None else jitter_to_data(spec.jitter),
        }
    )


def payload_of(spec: EntrySpec) -> str:
    """The fingerprint of what an entry does: everything but its timing."""
    return digest(
        {
            "task": spec.task,
            "args": spec.args,
            "kwargs": spec.kwargs,
            "options": spec.options,
            "max_runs": spec.max_runs,
            "policy": None if spec.policy is None else policy_to_data(spec.policy),
            "tenant": spec.tenant,
            "enabled": spec.enabled,
        }
    )


def zone_key(zone: dt.tzinfo) -> str:
    """The IANA name of a zone, or the best description of one that has none."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return name if isinstance(name, str) else _ADDRESS.sub("", repr(zone) if zone is not dt.timezone.utc else "UTC")


def path_of(thing: Any) -> str:
    """``module.qualified.name`` of a class or function."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__qualname__
    return f"{getattr(thing, '__module__', None) or 'builtins'}.{name}"


def canonical(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON values that are the same wherever it is the same."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return {"enum": path_of(type(value)), "is": value.name}
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "backslashreplace").decode()
    known = _scalar(value)
    if known is not None:
        return known
    return {"class": path_of(type(value))} if depth >= _DEEPEST else _composed(value, depth + 1)


def _scalar(value: Any) -> Any:
    match value:
        case int() | float():
            # 60 and 60.0 mean the same wherever they are used; JSON would tell them apart.
            whole = isinstance(value, int) or value.is_integer()
            return {"number": str(int(value)) if whole else repr(float(value))}
        case bytes() | bytearray():
            return {"bytes": value.hex()}
        case dt.tzinfo():
            return {"zone": zone_key(value)}
        case dt.date() | dt.time():
            zone = getattr(value, "tzinfo", None)
            return {"time": value.isoformat(), "zone": None if zone is None else zone_key(zone)}
        case dt.timedelta():
            return {"seconds": repr(value.total_seconds())}
        case decimal.Decimal() | uuid.UUID() | PurePath() | complex() | range():
            return {path_of(type(value)): str(value)}
        case types.ModuleType():
            return {"named": value.__name__}
        case type():
            return {"named": path_of(value)}
    return None


def _composed(value: Any, depth: int) -> Any:
    match value:
        case Mapping():
            return {"map": _sorted([canonical(k, depth), canonical(v, depth)] for k, v in value.items())}
        case list() | tuple():
            return [canonical(item, depth) for item in value]
        case set() | frozenset():
            return {"set": _sorted(canonical(item, depth) for item in value)}
        case functools.partial():
            return {"partial": [canonical(part, depth) for part in (value.func, value.args, value.keywords)]}
        case types.MethodType():
            return {"named": path_of(value), "of": canonical(value.__self__, depth + _OBJECT)}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"named": path_of(value)}
    return {"class": path_of(type(value)), "has": canonical(attributes(value), depth + _OBJECT)}


def attributes(value: Any) -> Any:
    """What an object holds, but for its app and what it has only computed; its ``repr`` if it holds nothing."""
    held = dict(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                held[name] = getattr(value, name)
    kept = {name: held[name] for name in held if name not in _PLACES and not _is_computed(type(value), name)}
    return kept if kept or held else _ADDRESS.sub("", repr(value))


def _is_computed(kind: type, name: str) -> bool:
    return type(getattr(kind, name, None)).__name__ == "cached_property"


def _sorted(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def _schedule(schedule: Schedule) -> Any:
    own = getattr(schedule, "fingerprint", None)
    return own() if callable(own) else to_data(schedule)


def is_local(schedule: Schedule) -> bool:
    """Whether the entry's zone has a say in when it is due."""
    match schedule:
        case Jittered(inner, _):
            return is_local(inner)
        case Every():
            return schedule.relative
        case Once() | Solar():
            return False
    return getattr(schedule, "timezone", None) is None

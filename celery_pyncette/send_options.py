"""The options of ``apply_async`` that a dynamic entry may carry: an allow-list, each with its own check.

Whoever may schedule a task must not thereby choose how beats and workers read bytes, which message a message replaces,
or which other tasks run: ``serializer`` is JSON only; ids, ETAs, producers and callbacks are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import Instant, show
from celery_pyncette.core.policies import check_duration
from celery_pyncette.entry_checks import check_name, plain
from celery_pyncette.time_limits import expiry

_TOO_SOON = "no occurrence could run: it must be above zero"
#: What Celery's protocol, and this package, say in headers; a header of the caller must not say otherwise.
PROTOCOL_HEADERS = frozenset(
    (
        *("lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id"),
        *("parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers"),
        *("stamps", "method", "pyncette", "periodic_task_name", "celery_beat_task"),
    )
)
#: Why some options are not accepted.
_REFUSED = {
    "task_id": "each occurrence has an id of its own",
    "eta": "the schedule says when; use execute_at",
    "countdown": "the schedule says when; use execute_at",
    "producer": "the beat sends with its own",
    "publisher": "the beat sends with its own",
    "connection": "the beat sends over its own; connection= of schedule_task is a database transaction",
    "router": "set task_routes in the beat's configuration",
    "link": "let the task call what follows it",
    "link_error": "let the task handle its errors",
}
_RETRY_POLICY = ("max_retries", "interval_start", "interval_step", "interval_max", "timeout")


def _text(field: str, value: object) -> str:
    return check_name(field, value)


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidEntry(field, value, "must be True or False")
    return value


def _seconds(field: str, value: object) -> float:
    try:
        return check_duration(field, value) / 1000
    except InvalidEntry as error:
        raise InvalidEntry(field, value, f"must be {error.rule}") from None


def _priority(field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise InvalidEntry(field, value, "must be a whole number from 0 to 255")
    return int(value)


def _serializer(field: str, value: object) -> str:
    if value != "json":
        raise InvalidEntry(field, value, "dynamic entries are sent as 'json' only")
    return "json"


def _delivery_mode(field: str, value: object) -> object:
    if value not in (1, 2, "transient", "persistent") or isinstance(value, bool):
        raise InvalidEntry(field, value, "must be 'transient' or 'persistent'")
    return value


def _headers(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidEntry(field, value, "must be a dict")
    for name in value:
        if isinstance(name, str) and name.lower() in PROTOCOL_HEADERS:
            raise InvalidEntry(f"{field}.{name}", value[name], "is a header of the protocol, and not the caller's")
    headers: dict[str, Any] = plain(field, value)
    return headers


def _retry_policy(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidEntry(field, value, "must be a dict")
    for name, number in value.items():
        if name not in _RETRY_POLICY:
            raise InvalidEntry(f"{field}.{name}", number, f"must be one of {', '.join(_RETRY_POLICY)}")
        if isinstance(number, bool) or not isinstance(number, (int, float, type(None))) or (number or 0) < 0:
            raise InvalidEntry(f"{field}.{name}", number, "must be a number, not below zero")
    policy: dict[str, Any] = plain(field, value)
    return policy


_CHECKS: dict[str, Callable[[str, object], object]] = {
    **dict.fromkeys(("queue", "exchange", "routing_key", "shadow", "compression", "argsrepr", "kwargsrepr"), _text),
    **dict.fromkeys(("retry", "ignore_result"), _flag),
    **dict.fromkeys(("time_limit", "soft_time_limit"), _seconds),
    "priority": _priority,
    "serializer": _serializer,
    "delivery_mode": _delivery_mode,
    "headers": _headers,
    "retry_policy": _retry_policy,
}
#: Every option that is accepted.
ALLOWED = (*_CHECKS, "expires")


def options_of(given: object, zone: tzinfo) -> dict[str, Any]:
    """The options as they are stored: JSON values; ``expires`` as seconds, or as an ISO 8601 time in UTC.

    :param zone: where a naive ``expires`` is read, as Celery does.
    :raises InvalidEntry: naming ``options.<name>``.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidEntry("options", given, "must be a dict")
    kept: dict[str, Any] = {}
    for name, value in given.items():
        field = f"options.{name}"
        if name == "expires":
            kept[name] = _expires(field, value, zone)
        elif name in _CHECKS:
            kept[name] = None if value is None else _CHECKS[name](field, value)
        else:
            raise InvalidEntry(field, value, _why_not(name))
    soft, hard = kept.get("soft_time_limit"), kept.get("time_limit")
    if soft is not None and hard is not None and soft > hard:
        raise InvalidEntry("options.soft_time_limit", soft, f"must not be above options.time_limit ({hard:g})")
    return {name: value for name, value in kept.items() if value is not None or name == "expires"}


def _expires(field: str, value: object, zone: tzinfo) -> float | str | None:
    if isinstance(value, bool) or (isinstance(value, (int, float)) and value <= 0):
        raise InvalidEntry(field, value, _TOO_SOON)
    if isinstance(value, timedelta) and value <= timedelta(0):
        raise InvalidEntry(field, value, _TOO_SOON)
    if not isinstance(value, (int, float, timedelta, datetime, str, type(None))):
        raise InvalidEntry(field, value, "must be seconds, a timedelta, or a datetime")
    after, at = expiry(value, zone)
    if after is not None:
        return max(1, after) / 1000
    return None if at is None else show(Instant(at))


def _why_not(name: object) -> str:
    if name in _REFUSED:
        return f"is not accepted in an entry: {_REFUSED[str(name)]}"
    close = difflib.get_close_matches(str(name), ALLOWED, n=1, cutoff=0.7)
    hint = f"; did you mean {close[0]!r}?" if close else f"; accepted are {', '.join(sorted(ALLOWED))}"
    return f"is not accepted in an entry{hint}"

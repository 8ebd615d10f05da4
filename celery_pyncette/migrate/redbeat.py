"""RedBeat 2.x: its keys in Redis, read without it; only a cluster or sentinels are reached through its own client."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from celery import schedules as celery_schedules

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry, StoreUnavailable
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.schedules import Every
from celery_pyncette.core.timeline import zone_named
from celery_pyncette.migrate.imported import Imported, due_after, kept_options, read_schedule, refused
from celery_pyncette.stores.urls import mask

_DEFAULT_PREFIX = "redbeat:"
_BATCH = 500
_PATIENCE = 10
#: Recurrence rules that are plain intervals: seconds by frequency, as dateutil numbers them.
_PLAIN = {3: 86_400, 2: 7 * 86_400, 4: 3_600, 5: 60, 6: 1}


@dataclass(frozen=True, slots=True)
class _Rule:
    """A schedule as it is stored; ``first`` and ``last`` bound a recurrence rule."""

    celery: Any
    ours: Schedule
    first: Instant | None = None
    last: Instant | None = None


def read(source: str | None, app: Any, now: Instant, *, prefix: str | None = None) -> Iterator[Imported]:
    """Every entry that RedBeat keeps.

    :param source: a Redis URL; None: ``redbeat_redis_url``, else the broker.
    :param prefix: of its keys; None: ``redbeat_key_prefix``, else ``redbeat:``.
    :raises ConfigurationError: without a URL, or a client for it. :raises StoreUnavailable: if it cannot be read.
    """
    prefix = prefix or app.conf.get("redbeat_key_prefix") or _DEFAULT_PREFIX
    client, shown, error = _client(source, app)
    try:
        for name, definition, meta in _hashes(client, prefix):
            yield entry_of(name, definition, meta, app, now)
    except error as problem:
        raise StoreUnavailable(
            f"RedBeat's keys in {shown} cannot be read: {' '.join(str(problem).split())}"
        ) from problem


def entry_of(name: str, definition: str, meta: str | None, app: Any, now: Instant) -> Imported:
    """The entry of one hash; ``name`` is its key without the prefix."""
    try:
        return _entry(json.loads(definition), json.loads(meta or "{}"), app, now)
    except InvalidEntry as error:
        return refused(name, f"{error.field}={error.value!r}: {error.rule}")
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        return refused(name, f"its definition cannot be read: {type(error).__name__}: {error}")


def _entry(given: dict[str, Any], meta: dict[str, Any], app: Any, now: Instant) -> Imported:
    rule = _rule(given["schedule"], app)
    last = _moment(meta.get("last_run_at"))
    options, notes = kept_options(_plain(given.get("options") or {}), app)
    first = None if rule.first is None else Instant(rule.first - 1)
    entry = Imported(
        name=str(given["name"]),
        task=given["task"],
        schedule=rule.ours,
        args=_plain(given.get("args") or []),
        kwargs=_plain(given.get("kwargs") or {}),
        options=options,
        enabled=bool(given.get("enabled", True)),
        since=first if last is None or (first is not None and last < first) else last,
        last_run_at=last,
        total_run_count=int(meta.get("total_run_count") or 0),
        start=rule.first,
        end=rule.last,
        notes=tuple(notes),
    )
    if not entry.enabled:
        return entry
    return _with_due(entry, rule, app, now)


def _with_due(entry: Imported, rule: _Rule, app: Any, now: Instant) -> Imported:
    if rule.first is not None:
        assert isinstance(rule.ours, Every)
        since = rule.first - 1 if entry.since is None else entry.since
        due = rule.first + max(0, (since - rule.first) // rule.ours.interval_ms + 1) * rule.ours.interval_ms
        if rule.last is not None and due > rule.last:
            return replace(entry, over="its recurrence rule has no time to come")
        return replace(entry, due_there=Instant(due))
    if entry.last_run_at is None:
        return replace(entry, due_there=now, why_there="RedBeat runs it at once: it never ran")
    return replace(entry, due_there=due_after(rule.celery, entry.last_run_at, app))


def _rule(given: Mapping[str, Any], app: Any) -> _Rule:
    kind = given.get("__type__")
    if kind == "interval":
        schedule = celery_schedules.schedule(timedelta(seconds=given["every"]), bool(given.get("relative")))
        return _Rule(schedule, read_schedule(schedule, app))
    if kind == "crontab":
        fields = {name: given[name] for name in given if name != "__type__"}
        schedule = celery_schedules.crontab(**fields)
        return _Rule(schedule, read_schedule(schedule, app))
    if kind == "rrule":
        return _interval_of(given)
    raise InvalidEntry("schedule", kind or given, "is no interval, crontab or rrule")


def _interval_of(given: Mapping[str, Any]) -> _Rule:
    """A recurrence rule that is an interval; RedBeat keeps where it starts as a fixed offset, so a day has 24 hours."""
    picky = sorted(name for name, value in given.items() if name.startswith("by") and value not in (None, [], ()))
    seconds = _PLAIN.get(given.get("freq", -1))
    if picky or seconds is None or given.get("dtstart") is None:
        rule = "a recurrence rule by calendar has no counterpart here; write it as a cron string"
        raise InvalidEntry("schedule", f"rrule({', '.join(picky) or given.get('freq')})", rule)
    every = Every(seconds * int(given.get("interval") or 1))
    first, count, until = int(given["dtstart"]) * 1000, given.get("count"), given.get("until")
    ends = [first + (int(count) - 1) * every.interval_ms] if count is not None else []
    ends += [int(until) * 1000] if until is not None else []
    return _Rule(None, every, Instant(first), Instant(min(ends)) if ends else None)


def _plain(value: Any) -> Any:
    """RedBeat's own form of a time inside arguments, as Celery's JSON has it: so a worker reads it as before."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("__type__") == "datetime" and "year" in value:
        return {"__type__": "datetime", "__value__": _datetime(value).isoformat()}
    return {key: _plain(item) for key, item in value.items()}


def _moment(value: Any) -> Instant | None:
    return None if value is None else instant_of(_datetime(value))


def _datetime(value: Mapping[str, Any]) -> datetime:
    fields = {key: value[key] for key in ("year", "month", "day", "hour", "minute", "second", "microsecond")}
    zone = value.get("timezone", "UTC")
    known = zone_named(zone) if isinstance(zone, str) else timezone(timedelta(seconds=float(zone)))
    return datetime(tzinfo=known, **fields)


def _hashes(client: Any, prefix: str) -> Iterator[tuple[str, str, str | None]]:
    """The hashes with a definition: those of its schedule, and those that are switched off."""
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
    keys = client.scan_iter(match=pattern, count=1000)
    while batch := list(itertools.islice(keys, _BATCH)):
        with client.pipeline(transaction=False) as pipe:
            for key in batch:
                pipe.hmget(key, "definition", "meta")
            answers: Iterable[Any] = pipe.execute(raise_on_error=False)
        for key, answer in zip(batch, answers, strict=True):
            if isinstance(answer, list) and answer[0]:
                definition, meta = (None if text is None else _text(text) for text in answer)
                yield _text(key)[len(prefix) :], definition or "", meta


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _client(source: str | None, app: Any) -> tuple[Any, str, type[Exception]]:
    """A client, the URL fit to be shown, and the root of its errors."""
    url = source or app.conf.get("redbeat_redis_url") or app.conf.broker_url or ""
    try:
        import redis
    except ImportError:
        raise ConfigurationError("RedBeat's keys need the module redis: pip install 'celery-pyncette[redis]'") from None
    options = app.conf.get("redbeat_redis_options") or {}
    if source is None and (url.startswith(("redis-sentinel", "redis-cluster")) or options.get("cluster")):
        return _own_client(app), mask(url), redis.RedisError
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationError(
            f"--source: {mask(url) or 'nothing'} is no URL of a Redis; for example redis://host:6379/0"
        )
    times = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, "decode_responses": True}
    return redis.Redis.from_url(url, **times), mask(url), redis.RedisError


def _own_client(app: Any) -> Any:
    try:
        from redbeat.schedulers import get_redis
    except ImportError:
        raise ConfigurationError(
            "sentinels and clusters of RedBeat are reached through it: install celery-redbeat"
        ) from None
    return get_redis(app)

"""The table of all settings, and how each value is read: one place, from which the documentation is made too."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.policies import (
    CatchUp,
    Delivery,
    Heartbeat,
    OnFailure,
    OnLeaseLost,
    Overlap,
    check_backoff,
    check_duration,
    member,
)

PREFIX = "pyncette_"


class WakeUp(str, enum.Enum):
    """Whether a store may wake a sleeping beat before its poll interval is over."""

    AUTO = "auto"
    """Where the store can."""
    OFF = "off"
    """Never: beats poll."""


class OnStoreError(str, enum.Enum):
    """What becomes of a message that should be parked while the store cannot be reached."""

    ERROR = "error"
    """The caller gets the error."""
    BROKER = "broker"
    """It goes to the broker as it would without the delay queue."""


Read = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting.

    :param name: without the prefix ``pyncette_``; the field of ``Settings``.
    :param kind: what may be given, in words.
    :param unit: of a bare number; empty where there is none.
    :param default: as a user would write it; ``None`` is explained by ``unset``.
    :param says: one sentence on what it does.
    :param part: the part of the product from which on it has an effect.
    :param read: value as given -> value as kept; raises ``InvalidEntry``.
    """

    name: str
    kind: str
    default: Any
    says: str
    part: int
    read: Read
    unit: str = ""
    unset: str = ""

    @property
    def setting(self) -> str:
        """The name under which it is set, for example ``pyncette_lease``."""
        return PREFIX + self.name


def _duration(field: str, value: Any) -> int:
    return check_duration(field, value)


def _duration_or_zero(field: str, value: Any) -> int:
    return check_duration(field, value, zero=True)


def _backoff(field: str, value: Any) -> tuple[int, int]:
    del field
    first, cap = check_backoff(value)
    return check_duration("backoff", first), check_duration("backoff", cap)


def _flag(field: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidEntry(field, value, "True or False")
    return value


def _whole(least: int, most: int) -> Read:
    def read(field: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise InvalidEntry(field, value, f"a whole number from {least} to {most}")
        return value

    return read


def _one_of(kind: type[enum.Enum]) -> Read:
    return lambda field, value: member(kind, field, value)


def _optional(read: Read) -> Read:
    return lambda field, value: None if value is None else read(field, value)


def _text(pattern: str, rule: str) -> Read:
    def read(field: str, value: Any) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise InvalidEntry(field, value, rule)
        return value

    return read


def _names(field: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise InvalidEntry(field, value, "a list of task names or patterns")
    names = tuple(sorted(value) if isinstance(value, (set, frozenset)) else value)
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidEntry(field, value, "a list of task names or patterns")
    return names


def _as_given(field: str, value: Any) -> Any:
    del field
    return value


def _enum(name: str, kind: type[enum.Enum], default: Any, says: str, part: int, unset: str = "") -> Option:
    words = " or ".join(repr(m.value) for m in kind)
    read = _one_of(kind) if default is not None else _optional(_one_of(kind))
    return Option(name=name, kind=words, default=default, says=says, part=part, read=read, unset=unset)


def _time(name: str, default: Any, says: str, part: int, unset: str = "", read: Read = _duration) -> Option:
    read = _optional(read) if default is None else read
    return Option(
        name=name, kind="number or timedelta", unit="s", default=default, says=says, part=part, read=read, unset=unset
    )


def _count(
    name: str, default: int | None, least: int, most: int, says: str, part: int, unset: str = "", unit: str = ""
) -> Option:
    read = _whole(least, most) if default is not None else _optional(_whole(least, most))
    return Option(name=name, kind="int", unit=unit, default=default, says=says, part=part, read=read, unset=unset)


def _switch(name: str, default: bool, says: str, part: int) -> Option:
    return Option(name=name, kind="bool", default=default, says=says, part=part, read=_flag)


_URL = _optional(_text(r"(?s)[A-Za-z][\w+.-]*:.*", "a URL such as redis://host:6379/0 or postgresql://host/database"))
_NAMESPACE = _text(r"[^\s{}\x00-\x1f\x7f]{1,100}", "1 to 100 characters, no blanks, braces or control characters")
_ADDRESS = _optional(_text(r"(\S*:)?\d{1,5}", "host:port, or :port for all interfaces"))

OPTIONS: tuple[Option, ...] = (
    Option(
        name="store_url",
        kind="str",
        default=None,
        unset="an SQLite file beside the schedule file; beats on one host only",
        says="The store that all beats, workers and clients share.",
        part=1,
        read=_URL,
    ),
    Option(
        name="namespace",
        kind="str",
        default=None,
        unset="the app's name, or celery",
        says="Keeps the schedules of applications that share a store apart.",
        part=1,
        read=_optional(_NAMESPACE),
    ),
    _enum("delivery", Delivery, "at_least_once", "What a crash may cost: a lost occurrence or a doubled one.", 1),
    _switch("result_aware", False, "Whether an occurrence stays open until its task's outcome is known.", 2),
    _enum("catch_up", CatchUp, "latest", "What happens to occurrences that passed while nobody could fire them.", 1),
    _time("grace", None, "An occurrence older than this is skipped.", 1, unset="no limit"),
    _enum(
        "overlap",
        Overlap,
        None,
        "What happens to an occurrence due while the previous one runs.",
        2,
        "'forbid' where result-aware, else 'allow'",
    ),
    _enum("on_failure", OnFailure, "accept", "What a task that raised means.", 2),
    _count("max_attempts", 5, 1, 1_000_000, "At least once: give up after so many failed starts.", 2),
    Option(
        name="backoff",
        kind="number, timedelta or (first, cap)",
        unit="s",
        default=(10, 3600),
        says="The wait before a repeat: first, doubled each time, at most cap.",
        part=2,
        read=_backoff,
    ),
    _time("dead_letter_ttl", 14 * 86400, "How long a one-off that was given up is kept.", 2),
    _time("lease", 60, "How long a run may go without a heartbeat; beats are sent at a third of it.", 2),
    _time("claim_time", 10, "How long a beat may take for what it has claimed, before another one takes over.", 1),
    _time(
        "start_within",
        60,
        "A run that nobody has started for so long is sent again; doubles each time, up to an hour.",
        2,
    ),
    _count(
        "start_attempts",
        1,
        1,
        1_000_000,
        "At most once: how often an unstarted run is sent; above 1 every worker of the queue needs the gate.",
        2,
    ),
    _time(
        "max_run", None, "A run is kept alive for at most this long.", 2, unset="the task's hard time limit, else 86400"
    ),
    _enum("on_lease_lost", OnLeaseLost, "warn", "What becomes of user code whose lease is lost.", 2),
    _enum("heartbeat", Heartbeat, "automatic", "Who keeps a run's lease alive: the worker, or the task itself.", 2),
    _time("poll_interval", 1, "The longest sleep of a beat.", 1),
    _count("batch_size", 100, 1, 10_000, "How many due records a beat claims at once.", 1),
    _count(
        "partitions",
        None,
        1,
        1024,
        "Slices of the ready index; fixed when the namespace is created.",
        1,
        "16 on Redis Cluster, else 1",
    ),
    _count("recent_runs", 10, 0, 1000, "How many past runs an entry remembers.", 1),
    _time("stale_after", 3600, "A static entry that no live beat defines is removed after this.", 1),
    _switch("seed", True, "Whether the first start reads the last runs from stock beat's schedule file.", 1),
    _switch("store_create", True, "Whether beats may create or upgrade the store's schema.", 1),
    _time("store_timeout", None, "The longest wait for an answer of the store.", 1, unset="5 in beats, 2 in clients"),
    _enum("wake_up", WakeUp, "auto", "Whether the store may wake a beat before its poll interval is over.", 3),
    _switch("delay_queue", False, "Whether messages with an eta or countdown are parked in the store.", 4),
    _time("delay_threshold", 10, "Shorter delays go to the broker as always.", 4, read=_duration_or_zero),
    _enum("delay_on_store_error", OnStoreError, "error", "What becomes of such a message while the store is down.", 4),
    _count(
        "max_payload",
        262_144,
        1024,
        64 * 1024 * 1024,
        "The largest payload of a dynamic or parked entry.",
        3,
        unit="bytes",
    ),
    Option(
        name="http_address",
        kind="str, host:port or :port",
        default=None,
        unset="off",
        says="Where a beat answers /metrics, /health, /live and /ready.",
        part=6,
        read=_ADDRESS,
    ),
    _time(
        "health_grace",
        None,
        "A beat whose last successful claim is older than this is unhealthy.",
        6,
        unset="twice the poll interval",
    ),
    Option(
        name="allowed_tasks",
        kind="list of str",
        default=None,
        unset="any",
        says="Names or patterns of the tasks that dynamic entries may call.",
        part=3,
        read=_optional(_names),
    ),
    Option(
        name="policies",
        kind="dict of entry name or pattern -> Policy or dict",
        default={},
        says="Policies of single entries, kept out of beat_schedule so that stock beat can still run it.",
        part=1,
        read=_as_given,
    ),
    _count("max_running", 100, 1, 100_000, "How many occurrences of one overlapping entry may be open at once.", 2),
)

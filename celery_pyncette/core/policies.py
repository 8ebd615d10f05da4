"""How an entry is delivered, caught up, overlapped and repeated."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import milliseconds

Duration = int | float | timedelta


class Delivery(str, enum.Enum):
    """What a crash may cost."""

    AT_MOST_ONCE = "at_most_once"
    """Used up before it is sent: a crash may lose an occurrence and never doubles one."""
    AT_LEAST_ONCE = "at_least_once"
    """Used up after it is sent: a crash may send an occurrence again and never loses one."""


class CatchUp(str, enum.Enum):
    """What happens to occurrences that passed while nobody could fire them."""

    ALL = "all"
    """Each of them runs, oldest first."""
    LATEST = "latest"
    """The newest of them runs once, the others are skipped."""
    NONE = "none"
    """An occurrence older than its grace is skipped."""


class Overlap(str, enum.Enum):
    """What happens to an occurrence that becomes due while the previous one runs."""

    ALLOW = "allow"
    """It runs beside it."""
    FORBID = "forbid"
    """It waits, and the catch-up policy decides what is left of it."""


class OnFailure(str, enum.Enum):
    """What a reported failure of the task means."""

    ACCEPT = "accept"
    """A task that raised has run."""
    RETRY = "retry"
    """It is dispatched again, with back-off, until it succeeds or ``max_attempts`` starts failed."""
    PAUSE = "pause"
    """It has run, and its entry is paused until somebody resumes it."""


class OnLeaseLost(str, enum.Enum):
    """What a worker does with user code whose lease is lost."""

    WARN = "warn"
    """The task is told (``lease_lost()``, ``LeaseLost``) and goes on."""
    TERMINATE = "terminate"
    """The user code is stopped."""


class Heartbeat(str, enum.Enum):
    """Who keeps a run's lease alive."""

    AUTOMATIC = "automatic"
    """The worker's main process, for as long as the task runs."""
    COOPERATIVE = "cooperative"
    """The task itself, by calling ``heartbeat()``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one level (entry, name pattern, task, settings) says; None leaves it to the next level.

    Durations are seconds (int, float) or ``timedelta``; enums are members or their lower-case
    values. ``backoff`` is the first wait or (first, cap): the n-th repeat waits
    ``first * 2**(n - 1)``, at most ``cap``. ``ping`` maps start, success, failure, miss to URLs and
    is accepted from ``pyncette_policies`` only.

    :raises InvalidEntry: for a value that none of this allows.
    """

    delivery: Delivery | None = None
    result_aware: bool | None = None
    catch_up: CatchUp | None = None
    grace: Duration | None = None
    overlap: Overlap | None = None
    on_failure: OnFailure | None = None
    max_attempts: int | None = None
    backoff: Duration | tuple[Duration, Duration] | None = None
    lease: Duration | None = None
    start_within: Duration | None = None
    start_attempts: int | None = None
    max_run: Duration | None = None
    on_lease_lost: OnLeaseLost | None = None
    heartbeat: Heartbeat | None = None
    ping: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name, kind in ENUMS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, member(kind, name, value))
        for name in DURATIONS:
            value = getattr(self, name)
            if value is not None:
                check_duration(name, value)
        for name in ("max_attempts", "start_attempts"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidEntry(name, value, "a whole number of at least 1")
        if self.result_aware is not None and not isinstance(self.result_aware, bool):
            raise InvalidEntry("result_aware", self.result_aware, "True or False")
        if self.backoff is not None:
            object.__setattr__(self, "backoff", check_backoff(self.backoff))

    def over(self, lower: Policy) -> Policy:
        """This policy, with what it leaves open taken from ``lower``."""
        return Policy(**{f.name: _first(getattr(self, f.name), getattr(lower, f.name)) for f in fields(self)})

    def given(self) -> dict[str, Any]:
        """The fields that say something."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


ENUMS: Mapping[str, type[enum.Enum]] = {
    "delivery": Delivery,
    "catch_up": CatchUp,
    "overlap": Overlap,
    "on_failure": OnFailure,
    "on_lease_lost": OnLeaseLost,
    "heartbeat": Heartbeat,
}
DURATIONS = ("grace", "lease", "start_within", "max_run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All that a decision needs to know, resolved over every level; durations are whole milliseconds.

    ``gated``: every worker of the queue is assumed to have the gate. ``expires`` is what the entry's
    options say: milliseconds after the first dispatch, and ``expires_at`` an absolute one.
    """

    delivery: Delivery = Delivery.AT_LEAST_ONCE
    aware: bool = False
    catch_up: CatchUp = CatchUp.LATEST
    grace: int | None = None
    overlap: Overlap = Overlap.ALLOW
    on_failure: OnFailure = OnFailure.ACCEPT
    max_attempts: int = 5
    backoff: tuple[int, int] = (10_000, 3_600_000)
    lease: int = 60_000
    claim_time: int = 10_000
    start_within: int = 60_000
    start_cap: int = 3_600_000
    start_attempts: int = 1
    max_run: int = 86_400_000
    on_lease_lost: OnLeaseLost = OnLeaseLost.WARN
    heartbeat: Heartbeat = Heartbeat.AUTOMATIC
    gated: bool = True
    expires: int | None = None
    expires_at: int | None = None
    max_running: int = 100
    recent_runs: int = 10
    dead_letter_ttl: int = 14 * 86_400_000

    @property
    def at_most_once(self) -> bool:
        return self.delivery is Delivery.AT_MOST_ONCE


def member(kind: type[enum.Enum], field: str, value: object) -> enum.Enum:
    """The member of ``kind`` that ``value`` is or names in lower case."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(m.value) for m in kind)
        raise InvalidEntry(field, value, f"one of {names}") from None


def check_duration(field: str, value: object, zero: bool = False) -> int:
    """A duration as milliseconds.

    :raises InvalidEntry: unless it is a finite number of seconds above zero (``zero``: or zero), or a ``timedelta``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise InvalidEntry(field, value, "a number of seconds or a timedelta")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    bounded = math.isfinite(seconds) and 0 <= seconds <= 3_000_000_000
    if not bounded or (not zero and milliseconds(seconds) == 0):
        raise InvalidEntry(field, value, "a finite duration above zero, at least one millisecond")
    return milliseconds(seconds)


def check_backoff(value: Any) -> tuple[Duration, Duration]:
    """A back-off as (first, cap); the cap of a single number is an hour, or the number itself if longer."""
    if not isinstance(value, (tuple, list)):
        value = (value, max(3600.0, check_duration("backoff", value) / 1000))
    if len(value) != 2:
        raise InvalidEntry("backoff", value, "one duration, or (first, cap)")
    first, cap = value
    if check_duration("backoff", first) > check_duration("backoff", cap):
        raise InvalidEntry("backoff", value, "(first, cap) with first not above cap")
    return (first, cap)


def _first(upper: Any, lower: Any) -> Any:
    return lower if upper is None else upper

"""How an entry is delivered, caught up, overlapped and repeated."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


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

    Durations are whole milliseconds. ``backoff`` is (first, cap): the n-th repeat waits
    ``first * 2**(n - 1)``, at most ``cap``. ``ping`` maps start, success, failure, miss to URLs
    and is accepted from ``pyncette_policies`` only.
    """

    delivery: Delivery | None = None
    result_aware: bool | None = None
    catch_up: CatchUp | None = None
    grace: int | None = None
    overlap: Overlap | None = None
    on_failure: OnFailure | None = None
    max_attempts: int | None = None
    backoff: tuple[int, int] | None = None
    lease: int | None = None
    start_within: int | None = None
    start_attempts: int | None = None
    max_run: int | None = None
    on_lease_lost: OnLeaseLost | None = None
    heartbeat: Heartbeat | None = None
    ping: Mapping[str, str] | None = None

    def over(self, lower: Policy) -> Policy:
        """This policy, with what it leaves open taken from ``lower``."""
        return Policy(**{f.name: _first(getattr(self, f.name), getattr(lower, f.name)) for f in fields(self)})


def _first(upper: Any, lower: Any) -> Any:
    return lower if upper is None else upper

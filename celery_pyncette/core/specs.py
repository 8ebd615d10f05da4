"""What the user wrote: the definition of an entry."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Policy
from celery_pyncette.core.schedules import Jitter, Schedule


class Origin(str, enum.Enum):
    """Who wrote the definition."""

    STATIC = "static"
    """``beat_schedule`` of the application."""
    DYNAMIC = "dynamic"
    """``schedule_task()`` at run time."""
    DELAYED = "delayed"
    """A message with an ETA."""
    KEEPING = "keeping"
    """The package itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySpec:
    """What the user wrote; no run state.

    ``schedule`` is None in the thin record of a static entry, whose schedule, args, kwargs and
    options stay in the configuration of the beats; ``description`` then says it for people.
    *Timing* is schedule, timezone, start, end, jitter; *payload* is the rest.
    """

    name: str
    task: str
    origin: Origin
    schedule: Schedule | None = None
    description: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    timezone: str | None = None
    start: Instant | None = None
    end: Instant | None = None
    max_runs: int | None = None
    jitter: Jitter | None = None
    policy: Policy | None = None
    tenant: str | None = None
    enabled: bool = True

"""What a message says of the occurrence that it is sent for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.keys import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One planned firing; its Celery task id follows from it."""

    key: Key
    generation: str
    due_at: Instant
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a message carries to ask for its START: the header ``pyncette``.

    A gate acts only if ``aware``, and only if ``task_id`` is the message's own: groups, chords and
    ``replace`` copy headers. Durations are milliseconds. ``replaced``: a task of this run has put the
    message in its own place (``Task.replace``); so many Celery retries came before its first one.
    """

    ns: str
    store: str
    key: Key
    gen: str
    due_at: Instant
    attempt: int
    task_id: str
    aware: bool
    delivery: str
    epoch: int = 0
    lease_ms: int = 0
    deadline: Instant | None = None
    start_within: int = 0
    max_run: int = 0
    on_lease_lost: str = "warn"
    heartbeat: str = "automatic"
    replaced: int = 0
    v: int = 1

    def as_header(self) -> dict[str, Any]:
        """Plain data for a message header; what is zero, empty or unset is left out."""
        header = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in header.items() if value}

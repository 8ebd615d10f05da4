"""The runs of a record: the one in flight, those of late."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.leases import Token
from celery_pyncette.core.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run in flight.

    *Open*: not started, no outcome. *Running*: started, no outcome. *Reported*: it has an outcome.
    ``attempt`` counts dispatches and is part of the task id; ``unstarted`` those in a row that
    nobody started; ``failures`` failed starts; ``starts`` all starts; ``retries`` is the Celery
    retry count that the next START must show. ``dispatched_at`` is set once a publish is confirmed,
    ``until`` says when a beat looks at an open run again. ``replan``: the definition was replaced
    meanwhile with its schedule unchanged.
    """

    due_at: Instant
    generation: str
    attempt: int = 1
    unstarted: int = 0
    failures: int = 0
    starts: int = 0
    retries: int = 0
    task_id: str = ""
    deadline: Instant | None = None
    dispatched_at: Instant | None = None
    until: Instant = NEVER
    poll_at: Instant = NEVER
    nonce: str | None = None
    token: Token | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    worker: str | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    replan: bool = False

    @property
    def is_open(self) -> bool:
        return self.started_at is None and self.outcome is None

    @property
    def is_running(self) -> bool:
        return self.started_at is not None and self.outcome is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """One line of run history."""

    due_at: Instant
    outcome: str
    attempt: int = 1
    task_id: str = ""
    dispatched_at: Instant | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    beat: str = ""
    worker: str | None = None
    reason: str | None = None
    count: int = 1

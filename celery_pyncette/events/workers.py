"""What a worker does about the messages and runs that it has."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.core.instants import Instant
from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A worker has the lease of a run, and its user code begins."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    attempt: int
    token: int
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRefused(Event):
    """A message was dropped before user code; ``reason`` says why it must not run."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgedTicket(Event):
    """The ticket of a message cannot be one of ours, or is of another namespace; the message was dropped."""

    task: str
    task_id: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignTicket(Event):
    """A message was sent by beats with another store; ``ran`` says whether it was run all the same."""

    entry: str
    task: str
    task_id: str
    ours: str
    theirs: str
    ran: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GateStoreDown(Event):
    """A worker could not ask for a START; ``requeued``: the broker delivers the message again."""

    entry: str
    task: str
    task_id: str
    error: str
    requeued: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """A running task's lease is another's, or has ended while the store could not be reached; ``reason`` says which."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Event):
    """A worker wrote how a run ended; ``outcome`` is ``retry`` for one that Celery will start again."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDropped(Event):
    """The outcome of a run could not be written: its lease was another's, or the store was away for too long."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    outcome: str
    reason: str

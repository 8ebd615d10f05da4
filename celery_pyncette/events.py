"""What happened: frozen values that the engine emits, and Observers that listen. Nothing flows back.

Durations are seconds. ``entry`` is the entry's name, ``task`` the Celery task: the only label with
a bound. An observer that raises is logged and never disturbs the engine.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from celery_pyncette.core.instants import Instant

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The root of all that is emitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked(Event):
    """One cycle of the dispatcher ended; ``error`` names what stopped it, if anything, and ``kind`` its class."""

    seconds: float
    claimed: int
    sent: int
    error: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatStarted(Event):
    """A beat has written its definitions and begins to claim; ``others`` are the beats and workers it sees."""

    store: str
    namespace: str
    store_id: str
    beat: str
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLost(Event):
    """The broker cannot be reached; nothing is claimed until it is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerBack(Event):
    """The broker answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCalled(Event):
    """One call of the store, repeats included."""

    operation: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLost(Event):
    """The store cannot be reached; emitted once until it is back."""

    store: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBack(Event):
    """The store answers again."""

    store: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEmptied(Event):
    """The namespace's meta record is gone: the store came back empty. Dynamic entries are lost."""

    store: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignStore(Event):
    """Another beat uses this namespace on this broker with another store: every run is doubled."""

    namespace: str
    ours: str
    theirs: str
    beat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched(Event):
    """A message was handed to the broker; ``unsure`` if the answer was lost. ``lag`` is sent minus due."""

    key: str
    entry: str
    task: str
    due_at: Instant
    task_id: str
    attempt: int
    lag: float
    seconds: float
    unsure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFailed(Event):
    """A message was not sent; it is tried again after ``retry_in`` seconds, or never if None."""

    key: str
    entry: str
    task: str
    due_at: Instant
    error: str
    retry_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Event):
    """Occurrences from ``due_at`` to ``until`` will not run; ``at_least`` if more were not counted.

    ``said``: what the middleware said that has vetoed one.
    """

    key: str
    entry: str
    task: str
    due_at: Instant
    until: Instant
    count: int
    reason: str
    at_least: bool = False
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedUp(Event):
    """A result-aware run is over."""

    key: str
    entry: str
    task: str
    due_at: Instant
    outcome: str
    attempt: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotStarted(Event):
    """Nobody has started a result-aware run for ``waited`` seconds: are there workers? Somebody should look.

    ``again``: it is sent again.
    """

    key: str
    entry: str
    task: str
    due_at: Instant
    attempt: int
    waited: float
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Event):
    """A run was lost or failed, and will be dispatched again in ``again_in`` seconds."""

    key: str
    entry: str
    task: str
    due_at: Instant
    outcome: str
    attempt: int
    again_in: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Event):
    """An entry was paused because a run of it failed."""

    key: str
    entry: str
    task: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsLost(Event):
    """The result backend cannot be asked; emitted once until it is back. Open runs are left alone meanwhile."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsBack(Event):
    """The result backend answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected(Event):
    """Occurrences became due and were taken up."""

    key: str
    entry: str
    task: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined(Event):
    """A stored record cannot be read; the others go on."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded(Event):
    """A write of ours was refused because somebody else had acted; ``doing`` says which step."""

    key: str
    entry: str
    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtime(Event):
    """A chunk was dropped unsent, because half of the claim time had passed; its lease heals it."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled(Event):
    """The static entries were written into the store."""

    created: int
    changed: int
    unchanged: int
    removed: int
    seeded: int = 0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TickBegan(Event):
    """A cycle of the beat begins; ``Ticked`` ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAsked(Event):
    """A call of the store begins; ``StoreCalled`` ends it."""

    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Event):
    """A claim was answered: a successful poll.

    ``oldest`` is since when the oldest claimed occurrence is due, ``next_ready_at`` the earliest that is left in
    the lane; both and ``now`` are times of the store.
    """

    lane: int
    count: int
    now: Instant
    oldest: Instant | None
    next_ready_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleEnded(Event):
    """What was claimed is seen through; ``in_hand`` records are still to be settled."""

    lane: int
    in_hand: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishBegan(Event):
    """Messages of these tasks are handed to the broker; ``PublishEnded`` ends it."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishEnded(Event):
    """The broker has, or may have, ``sent`` of these messages; the others have failed."""

    tasks: tuple[str, ...]
    seconds: float
    sent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighboursSeen(Event):
    """How many beats, this one included, and gated workers live."""

    beats: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried(Event):
    """A one-off was given up, and is kept as a dead letter."""

    key: str
    entry: str
    task: str
    due_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Event):
    """``count`` occurrences have not run and will not, though nobody asked for that."""

    key: str
    entry: str
    task: str
    due_at: Instant
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Event):
    """An occurrence was sent ``lag`` seconds after it was due: longer than the death of a beat explains."""

    key: str
    entry: str
    task: str
    due_at: Instant
    lag: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck(Event):
    """The loop of this beat has shown no sign of life for ``seconds``; ``where`` it is, as file:line function."""

    seconds: float
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstuck(Event):
    """The loop of this beat goes on after ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinged(Event):
    """A URL was called for an entry; ``result`` is sent, failed or dropped. The URL is a secret: ``host`` is not."""

    entry: str
    occasion: str
    host: str
    result: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUp(Event):
    """The beat answers HTTP at this address."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDown(Event):
    """The beat cannot answer HTTP; it works all the same, and tries again."""

    address: str
    error: str


class Observer(Protocol):
    """Something that listens."""

    def see(self, event: Event) -> None:
        """Take note of an event; quickly, because the engine waits."""


class Observers:
    """Fan-out to any number of observers."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        self._observers.append(observer)

    def see(self, event: Event) -> None:
        for observer in self._observers:
            try:
                observer.see(event)
            except Exception:
                logger.exception("observer_failed", extra={"observer": type(observer).__name__})

"""The run that the code of a task is part of, and what the code may ask about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from celery_pyncette.clock import Clock, SystemClock
from celery_pyncette.core.errors import LeaseLost, StoreError
from celery_pyncette.core.policies import Delivery, Heartbeat
from celery_pyncette.core.records import Ticket
from celery_pyncette.engine.holding import Holding, Labels, looked_at, renewed
from celery_pyncette.occurrence import CurrentOccurrence, moment
from celery_pyncette.stores.protocol import Store
from celery_pyncette.worker.tickets import labels_of, told_by

#: A lease that has ended is looked at no more often than this; seconds.
_LOOK_EVERY = 1.0


class ActiveRun:
    """One admitted run; ``holding`` is None for one that runs without a lease."""

    def __init__(
        self, ticket: Ticket, labels: Labels, holding: Holding | None, store: Callable[[], Store], clock: Clock
    ) -> None:
        self.ticket = ticket
        self.labels = labels
        self.holding = holding
        self._store = store
        self.clock = clock
        self._started_at = clock.monotonic()
        self._renewed_at = self._started_at
        self._looked_at = 0.0
        self._lost = False
        self._unsure = False
        #: When a message that the task has put in its own place may start, in monotonic seconds.
        self.replaced_at: float | None = None

    @property
    def occurrence(self) -> CurrentOccurrence:
        return CurrentOccurrence(
            entry=self.labels.entry,
            due_at=moment(self.ticket.due_at),
            attempt=self.ticket.attempt,
            token=None if self.holding is None else self.holding.token,
        )

    @property
    def lost(self) -> bool:
        """Whether the lease is another's, or has ended and cannot be asked about (at least once only).

        Asks the store only when the lease may have ended by this process's own clock.
        """
        holding, now = self.holding, self.clock.monotonic()
        if holding is None or self._lost:
            return self._lost
        if now < holding.deadline:
            return False
        if now - self._looked_at < _LOOK_EVERY:
            return self._unsure
        self._looked_at = now
        try:
            found = looked_at(self._store(), self.clock, holding)
        except StoreError:
            self._looked_at = self.clock.monotonic()  # each question waits for the store
            self._unsure = self.ticket.delivery != Delivery.AT_MOST_ONCE.value
            return self._unsure
        return self._found(found)

    def beat(self) -> None:
        """Renew the lease if it is cooperative. :raises LeaseLost: if it is lost."""
        holding, now = self.holding, self.clock.monotonic()
        if holding is not None and not self._lost and self._renews(now):
            self._renewed_at = now
            try:
                self._found(renewed(self._store(), self.clock, holding))
            except StoreError:
                # Soon again, and not at every call: each of them waits for the store.
                self._renewed_at = self.clock.monotonic() - self._pause + min(_LOOK_EVERY, self._pause)
        if self.lost:
            raise LeaseLost(
                f"entry {self.labels.entry!r}: the lease of its run due {self.occurrence.due_at.isoformat()} is lost; "
                "stop, somebody else may be working on it"
            )

    def _renews(self, now: float) -> bool:
        if self.ticket.heartbeat != Heartbeat.COOPERATIVE.value:
            return False
        if self.ticket.max_run and now - self._started_at >= self.ticket.max_run / 1000:
            return False
        return now - self._renewed_at >= self._pause

    @property
    def _pause(self) -> float:
        """Seconds between two renewals."""
        return self.ticket.lease_ms / 6000

    def _found(self, found: Holding | None) -> bool:
        self._unsure = False
        if found is None:
            self._lost = True
        else:
            self.holding = found
        return self._lost


def bystander(headers: Mapping[str, Any], task_id: str, task: str) -> ActiveRun | None:
    """The run of a message that a beat has sent and then forgotten: not result-aware. It knows its occurrence, has no
    lease, and never asks the store.
    """
    ticket = told_by(headers, task_id)
    return None if ticket is None else ActiveRun(ticket, labels_of(headers, task), None, _no_store, _CLOCK)


_CLOCK = SystemClock()


def _no_store() -> Store:
    raise AssertionError("a run without a lease asks no store")

"""The gate before user code: START, or the message is dropped. Ordinary messages pass without a word to the store."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from celery.exceptions import Ignore, Reject

from celery_pyncette import events
from celery_pyncette.clock import new_id
from celery_pyncette.core.errors import ConfigurationError, SchemaMismatch, StoreError
from celery_pyncette.core.policies import Delivery as Policy
from celery_pyncette.core.records import Ticket
from celery_pyncette.core.starts import Delivery, Refusal
from celery_pyncette.engine.holding import Holding, Labels, start_run
from celery_pyncette.middleware.chain import Entered
from celery_pyncette.worker import occurrence
from celery_pyncette.worker.active import ActiveRun, bystander
from celery_pyncette.worker.office import Office, office_of
from celery_pyncette.worker.tickets import HEADER, NONCE, Forged, labels_of, ticket_of

#: The attribute of a request that says it has been at the gate.
MARK = "pyncette_passed"
#: Seconds that a message waits here before the broker gets it back, while the store is away.
_WAIT = (1.0, 5.0)


class Refused(Ignore):  # type: ignore[misc]
    """The message must not run; Celery acknowledges it and stores nothing."""


class StoreDown(Ignore):  # type: ignore[misc]
    """The store is away, and the message was acknowledged already: a beat sends it again."""


class StoreDownAgain(Reject):  # type: ignore[misc]
    """The store is away: the broker is to deliver the message again."""


@dataclass(slots=True)
class Passed:
    """What is known of a request after the gate; ``called`` once the tracer has called the task, ``entered`` are the
    middlewares around it.
    """

    run: ActiveRun | None = None
    called: bool = False
    entered: Entered | None = None


def pass_gate(task: Any, request: Any) -> Passed:
    """Ask, once for each request, whether user code may start.

    :raises Refused, StoreDown, StoreDownAgain: it may not.
    """
    passed = request.__dict__.get(MARK)
    if passed is None:
        run = None
        if request.__dict__.get(HEADER) is not None and not request.is_eager:
            run = _Gate(task, request).admit() or bystander(request.__dict__, request.id, task.name)
        # Only now: whoever swallows a refusal and asks again is refused again.
        passed = request.__dict__[MARK] = Passed(run)
        if not request.is_eager:
            occurrence.enter(run)  # an ordinary task too: a thread may be left with a run whose end nobody has told
    assert isinstance(passed, Passed)
    return passed


class _Gate:
    """The question about one message."""

    def __init__(self, task: Any, request: Any) -> None:
        self._task = task
        self._request = request
        self._labels = labels_of(request.__dict__, task.name)

    def admit(self) -> ActiveRun | None:
        ticket = ticket_of(self._request.__dict__, self._request.id)
        if ticket is None:
            return None
        office = office_of(self._task.app)
        try:
            runtime = office.runtime
        except ConfigurationError as error:
            raise Refused(f"misconfigured: {error}") from None
        see = runtime.observers.see
        if isinstance(ticket, Ticket) and ticket.ns != runtime.settings.namespace:
            ticket = Forged(f"it is of namespace {ticket.ns!r}, this worker is of {runtime.settings.namespace!r}")
        if isinstance(ticket, Forged):
            see(events.ForgedTicket(task=self._task.name, task_id=self._request.id, problem=ticket.problem))
            raise Refused(ticket.problem)
        return self._start(office, ticket)

    def _start(self, office: Office, ticket: Ticket) -> ActiveRun:
        runtime = office.runtime
        delivery = delivery_of(ticket, self._request)
        try:
            ours = _store_id(office, ticket)
            if ours != ticket.store:
                return self._foreign(office, ticket, ours)
            started = start_run(office.store, runtime.clock, delivery, self._labels)
        except StoreError as error:
            raise self._down(office, error) from None
        if isinstance(started, Refusal):
            raise self._refused(office, ticket, started.value)
        self._began(office, ticket, started)
        return ActiveRun(ticket, self._labels, started, lambda: office.store, runtime.clock)

    def _began(self, office: Office, ticket: Ticket, holding: Holding) -> None:
        delivery = holding.delivery
        if NONCE not in (self._request.delivery_info or {}):
            office.keeper.watch(delivery, self._labels, _cannot_stop)  # its request is none of ours: nobody else will
        office.runtime.observers.see(
            events.RunStarted(
                key=ticket.key,
                entry=self._labels.entry,
                task=self._labels.task,
                due_at=ticket.due_at,
                task_id=delivery.task_id,
                attempt=ticket.attempt,
                token=holding.token,
                worker=delivery.worker,
            )
        )

    def _refused(self, office: Office, ticket: Ticket, reason: str) -> Refused:
        office.runtime.observers.see(
            events.StartRefused(
                key=ticket.key,
                entry=self._labels.entry,
                task=self._labels.task,
                due_at=ticket.due_at,
                task_id=self._request.id,
                reason=reason,
            )
        )
        return Refused(reason)

    def _foreign(self, office: Office, ticket: Ticket, ours: str) -> ActiveRun:
        runs = ticket.delivery == Policy.AT_LEAST_ONCE.value
        labels = self._labels
        office.runtime.observers.see(
            events.ForeignTicket(
                entry=labels.entry,
                task=labels.task,
                task_id=self._request.id,
                ours=ours,
                theirs=ticket.store,
                ran=runs,
            )
        )
        if not runs:
            raise Refused("sent by a beat with another store")
        return ActiveRun(ticket, labels, None, lambda: office.store, office.runtime.clock)

    def _down(self, office: Office, error: StoreError) -> Ignore | Reject:
        late = bool(self._task.acks_late)
        labels = self._labels
        office.runtime.observers.see(
            events.GateStoreDown(
                entry=labels.entry, task=labels.task, task_id=self._request.id, error=str(error), requeued=late
            )
        )
        if not late:
            return StoreDown("the store is away")
        office.runtime.clock.sleep(random.uniform(*_WAIT))
        return StoreDownAgain("the store is away", requeue=True)


def _cannot_stop() -> None:
    """Nothing can be stopped from within; the task is told by ``lease_lost()``."""


def _store_id(office: Office, ticket: Ticket) -> str:
    """The id of our store; asked anew before it is said to be another one."""
    try:
        ours = office.store_id()
        return ours if ours == ticket.store else office.store_id(anew=True)
    except SchemaMismatch:
        return "none"
    except ConfigurationError:
        return "none"


def delivery_of(ticket: Ticket, request: Any, nonce: str | None = None) -> Delivery:
    """What the START of a request says; a request without a nonce is renewed by nobody.

    ``request`` is the task's, in the pool; or, with its ``nonce``, a dict of the same, in the main process.
    """
    said = request if isinstance(request, dict) else request.__dict__
    delivery_info = said.get("delivery_info") or {}
    return Delivery(
        ticket=ticket,
        task_id=said["id"],
        retries=(said.get("retries") or 0) + ticket.replaced,
        nonce=nonce or delivery_info.get(NONCE) or new_id(),
        worker=said.get("hostname") or "worker",
    )


__all__ = ["MARK", "Labels", "Passed", "Refused", "StoreDown", "StoreDownAgain", "delivery_of", "pass_gate"]

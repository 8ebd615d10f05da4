"""REPORT from where the task ran: after the result is stored, before a late acknowledgement."""

from __future__ import annotations

from typing import Any

from celery_pyncette.core.errors import StoreError
from celery_pyncette.engine.errands import carry_out
from celery_pyncette.engine.holding import Holding
from celery_pyncette.engine.reporting import Ending, Report
from celery_pyncette.worker import occurrence
from celery_pyncette.worker.endings import ending_of
from celery_pyncette.worker.gate import MARK, Passed
from celery_pyncette.worker.middlewares import leave_late
from celery_pyncette.worker.office import Office, office_of


def task_has_ended(task: Any, state: str | None, value: Any) -> None:
    """Report the end of a task that has passed the gate under a lease; of any other nothing.

    Middlewares that were cut off, by what is no ``Exception`` between two calls of Celery's, are left here
    at the latest.
    """
    passed = task.request.__dict__.get(MARK)
    if not isinstance(passed, Passed):
        return
    if passed.entered:
        leave_late(task, passed.entered, value)
    if passed.run is None:
        return
    run, passed.run = passed.run, None
    occurrence.leave()
    if run.holding is None:
        return
    office = office_of(task.app)
    office.keeper.ended(run.holding.delivery.nonce)
    ending = ending_of(state, value, office.runtime.clock, run.replaced_at)
    if ending is not None:
        report(office, run.holding, ending)


def report(office: Office, holding: Holding, ending: Ending) -> None:
    """One round trip if nobody has renewed the lease meanwhile; left to the keeper's thread if the store is away."""
    clock = office.runtime.clock
    owed = Report(
        delivery=holding.delivery,
        labels=holding.labels,
        ending=ending,
        see=office.runtime.observers.see,
        token=holding.token,
        known=holding.record,
        guessed_now=holding.store_now(clock.monotonic()),
    )
    try:
        carry_out(office.store, clock, [owed])
    except StoreError:
        owed.done = False
    if not owed.done:
        office.keeper.owe_report(owed)

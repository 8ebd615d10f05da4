"""What the code of a task may call: outside of a run that has a lease, all of it does nothing."""

from __future__ import annotations

from contextvars import ContextVar

from celery_pyncette.occurrence import CurrentOccurrence
from celery_pyncette.worker.active import ActiveRun

_current: ContextVar[ActiveRun | None] = ContextVar("celery_pyncette_run", default=None)


def enter(run: ActiveRun | None) -> None:
    """The code that follows, in this thread or greenlet, belongs to the run; None: to none."""
    _current.set(run)


def leave() -> None:
    """What follows belongs to no run."""
    _current.set(None)


def current_run() -> ActiveRun | None:
    """The run that the code of this thread or greenlet belongs to."""
    return _current.get()


def heartbeat() -> None:
    """Say that the task goes on.

    With ``heartbeat = "cooperative"`` this alone keeps the lease alive; call it more often than three times a lease,
    as often as you like. With ``"automatic"`` it only checks.

    :raises LeaseLost: if somebody else may be working on this run now.
    """
    run = _current.get()
    if run is not None:
        run.beat()


def lease_lost() -> bool:
    """Whether somebody else may be working on this run now; False outside of a run."""
    run = _current.get()
    return run is not None and run.lost


def current_occurrence() -> CurrentOccurrence | None:
    """The occurrence that this task runs for; None in an ordinary task."""
    run = _current.get()
    return None if run is None else run.occurrence

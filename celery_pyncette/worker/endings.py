"""What Celery says of a task's end, as the outcome that is reported."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import states
from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.clock import Clock
from celery_pyncette.core.records import Outcome
from celery_pyncette.engine.holding import Ending
from celery_pyncette.worker.celery_internals import was_announced_revoked, was_cancelled, was_replaced

SUCCEEDED = Ending(outcome=Outcome.SUCCEEDED)
FAILED = Ending(outcome=Outcome.FAILED)
ABANDONED = Ending(outcome=Outcome.ABANDONED)
REVOKED = Ending(outcome=Outcome.REVOKED)
REVOKED_UNSTARTED = Ending(outcome=Outcome.REVOKED, unstarted=True)
UNKNOWN_TASK = Ending(outcome=Outcome.FAILED, reason="unknown task", unstarted=True)


def ending_of(state: str | None, value: Any, clock: Clock) -> Ending | None:
    """How a task ended where it ran; None if that is for the main process to tell, or for nobody.

    :param state: what ``task_postrun`` says; :param value: the result, or the exception.
    """
    match state:
        case states.SUCCESS:
            return SUCCEEDED
        case states.FAILURE:
            return FAILED
        case states.RETRY:
            return Ending(
                outcome=None, retry_at=clock.monotonic() + _seconds_until(getattr(value, "when", None), clock)
            )
        case states.IGNORED:
            return SUCCEEDED if was_replaced(value) else Ending(outcome=Outcome.FAILED, reason="ignored")
        case states.REJECTED if getattr(value, "requeue", False):
            return Ending(outcome=None, retry_at=clock.monotonic(), requeued=True)
        case states.REJECTED:
            return Ending(outcome=Outcome.FAILED, reason="rejected")
        case _:
            return None  # it was killed, or raised what no task should


def _seconds_until(when: Any, clock: Clock) -> float:
    if isinstance(when, datetime):
        aware = when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)
        return max(0.0, aware.timestamp() - clock.now() / 1000)
    return max(0.0, float(when)) if isinstance(when, (int, float)) else 0.0


def ending_in_main(error: BaseException, request: Any, *, return_ok: bool) -> Ending | None:
    """How a task ended that its pool gave back with ``error``; None if the child has told, or somebody else will.

    :param return_ok: Celery's word for an error that the child has seen to itself.
    """
    if isinstance(error, Terminated):
        return ABANDONED if was_cancelled(request) else None  # else ``_announce_revoked`` is told
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return None if was_announced_revoked(request) else ABANDONED
    if isinstance(error, WorkerLostError):
        return ABANDONED
    if isinstance(error, TimeLimitExceeded):
        return FAILED
    if return_ok or isinstance(error, (Ignore, Reject, Retry)):
        return None
    return FAILED

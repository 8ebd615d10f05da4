"""What Celery says of a task's end, as the outcome that is reported."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import states
from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.clock import Clock
from celery_pyncette.core.records import Outcome
from celery_pyncette.engine.reporting import Ending
from celery_pyncette.middleware.skipping import Skip
from celery_pyncette.worker.celery_internals import was_announced_revoked, was_cancelled, was_replaced

SUCCEEDED = Ending(outcome=Outcome.SUCCEEDED)
FAILED = Ending(outcome=Outcome.FAILED)
ABANDONED = Ending(outcome=Outcome.ABANDONED)
REVOKED = Ending(outcome=Outcome.REVOKED)
REVOKED_UNSTARTED = Ending(outcome=Outcome.REVOKED, unstarted=True)
UNKNOWN_TASK = Ending(outcome=Outcome.FAILED, reason="unknown task", unstarted=True)


def ending_of(state: str | None, value: Any, clock: Clock, replaced_at: float | None = None) -> Ending | None:
    """How a task ended where it ran; None if that is for the main process to tell, or for nobody.

    :param state: what ``task_postrun`` says; :param value: the result, or the exception.
    :param replaced_at: when the message that has taken the task's place, if any, may start; monotonic seconds.
    """
    match state:
        case states.SUCCESS:
            return SUCCEEDED
        case states.FAILURE:
            return FAILED
        case states.RETRY:
            return Ending(outcome=None, retry_at=clock.monotonic() + seconds_until(getattr(value, "when", None), clock))
        case states.IGNORED if isinstance(value, Skip):
            return Ending(outcome=Outcome.SKIPPED, reason=value.reason or "skipped")
        case states.IGNORED if not was_replaced(value):
            return Ending(outcome=Outcome.FAILED, reason="ignored")
        case states.IGNORED if replaced_at is not None:
            return Ending(outcome=None, reason="replaced", retry_at=replaced_at)
        case states.IGNORED:
            return SUCCEEDED  # a chain, group or chord, which carry no ticket, has taken its place
        case states.REJECTED if getattr(value, "requeue", False):
            return Ending(outcome=None, retry_at=clock.monotonic(), requeued=True)
        case states.REJECTED:
            return Ending(outcome=Outcome.FAILED, reason="rejected")
        case _:
            return None  # it was killed, or raised what no task should


def seconds_until(when: Any, clock: Clock) -> float:
    """How long it is until a time, or a number of seconds; 0 for what is past, or neither."""
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

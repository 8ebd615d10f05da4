"""The middlewares around one execution of a task: behind the gate, outside of everything that is the user's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from celery_pyncette.middleware.chain import WORDS_TO_CELERY, Entered
from celery_pyncette.middleware.registry import middlewares_of
from celery_pyncette.middleware.runs import TaskRun
from celery_pyncette.worker.celery_internals import as_if_raised_by
from celery_pyncette.worker.gate import Passed
from celery_pyncette.worker.occurrence import current_occurrence

logger = logging.getLogger(__name__)


def begin_within(task: Any, request: Any, passed: Passed, begin: Callable[[], Any]) -> Any:
    """``before_start`` of the user's, within the middlewares; they stay entered for the task, unless it raises."""
    entered = _enter(task, request, passed)
    if entered is None:
        return begin()
    try:
        return begin()
    except BaseException as error:
        left = entered.leave(error)
        if left is None or left is error:  # a task that could not begin cannot have succeeded
            raise
        failure = _as_failure(task, left)
    raise failure


def work_within(
    task: Any,
    request: Any,
    passed: Passed,
    work: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """The task, within the middlewares, which are left before its result is stored.

    A middleware that swallows the task's exception makes it succeed, with the result None.
    """
    entered = _enter(task, request, passed)
    if entered is None:
        return work(*args, **kwargs)
    try:
        result = work(*args, **kwargs)
    except BaseException as error:
        left = entered.leave(error)
        if left is None:
            return None
        if left is error:
            raise
        failure = _as_failure(task, left)
    else:
        left = entered.leave(None)
        if left is None:
            return result
        failure = _as_failure(task, left)
    raise failure


def _enter(task: Any, request: Any, passed: Passed) -> Entered | None:
    """Enter them, once for a request; None if there are none."""
    if passed.entered is not None:
        return passed.entered
    middlewares = middlewares_of(task.app)
    if middlewares is None or not middlewares.tasks.candidates(task.name):
        return None
    entered = passed.entered = Entered()
    try:
        middlewares.tasks.enter(TaskRun(task, request, current_occurrence), entered)
    except BaseException as error:  # noqa: BLE001 - raised again below
        # Nothing has run, so there is no result that one of them could swallow this for.
        failure = _as_failure(task, entered.leave(error) or error)
    else:
        return entered
    raise failure


def _as_failure(task: Any, error: BaseException) -> BaseException:
    """A middleware's exception counts as the task's."""
    if not isinstance(error, Exception) and _is_cancelled(error):
        # Celery would lose the task, and a solo worker would end.
        failure = RuntimeError("a middleware around the task let out a CancelledError")
        failure.__cause__ = error
        return as_if_raised_by(task, failure)
    if isinstance(error, WORDS_TO_CELERY) or not isinstance(error, Exception):
        return error
    return as_if_raised_by(task, error)


def _is_cancelled(error: BaseException) -> bool:
    from asyncio import CancelledError  # which is imported if it was raised

    return isinstance(error, CancelledError)


def leave_late(task: Any, entered: Entered, value: Any) -> None:
    """Leave what is still entered at ``task_postrun``: the result is stored, so an exception can only be logged."""
    cut = value if isinstance(value, BaseException) else SystemExit()
    left = entered.leave(cut)
    if left is not None and left is not cut:
        logger.error("middleware_failed: %s[%s]: %r, after its task was cut off", task.name, task.request.id, left)

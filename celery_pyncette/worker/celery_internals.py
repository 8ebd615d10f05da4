"""All of Celery that is private, or true only by how it is written today; each with its reason, each pinned by a test
(``tests/worker/test_celery_internals.py``) that fails when Celery changes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery import Task as BaseTask
from celery.exceptions import Ignore

#: What ``Task.Request`` is unless somebody sets another one; written as a string so that nothing but a worker loads it.
STOCK_REQUEST = "celery.worker.request:Request"

#: Methods that ``celery.worker.request.create_request_cls`` defines anew in the class that a worker uses, without
#: calling ``super()``: an override in ``Task.Request`` is never called, it must wrap those of the subclass.
REDEFINED = ("execute_using_pool", "on_success")


def when_an_app_is_finalized(callback: Callable[[Celery], object]) -> None:
    """Have every app of this process given to ``callback``, also the one that a spawned child unpickles.

    ``connect_on_app_finalize`` is private; the public signals belong to one app, or come only after the
    tracers of a child have been built.
    """
    from celery._state import connect_on_app_finalize

    connect_on_app_finalize(callback)


def when_a_task_is_made(app: Celery, callback: Callable[[Any], object]) -> None:
    """Have every task that the app makes of a function given to ``callback``: some are made before it is finalized, by
    their first use, and some long after.

    ``_task_from_fun`` is private; no signal tells of a task.
    """
    make = app._task_from_fun

    def made(fun: Any, *args: Any, **options: Any) -> Any:
        task = make(fun, *args, **options)
        callback(task)
        return task

    app._task_from_fun = made


def rebuild_tracer(app: Celery, task: Any) -> None:
    """Let a task whose class was changed be looked at again; ``__trace__`` was built from what it had before."""
    if task.__trace__ is not None:
        from celery.app.trace import build_tracer

        hostname = getattr(task.request, "hostname", None)
        task.__trace__ = build_tracer(task.name, task, app.loader, hostname, app=app)


def runs_tasks_in_children(pool: Any) -> bool:
    """Whether a worker with this ``pool_cls`` (an alias, a path, a class) runs its tasks in processes of their own.

    Asked at ``worker_init``, before there is a pool; the module of one that is a string must not be imported yet, for
    other handlers may still patch what it uses.
    """
    if isinstance(pool, str):
        return pool in ("prefork", "processes") or pool.startswith("celery.concurrency.prefork")
    return any(cls.__module__ == "celery.concurrency.prefork" for cls in getattr(pool, "__mro__", ()))


def is_stock(cls: type) -> bool:
    """Whether a class is Celery's own task class, whose ``__call__`` the tracer leaves out."""
    return cls is BaseTask or cls is object


def as_if_raised_by(task: Any, error: BaseException) -> BaseException:
    """What Celery makes of this exception of a task: with ``autoretry_for`` it may be a retry, which is sent now.

    ``add_autoretry_behaviour`` is not documented. It is given a task that does nothing but raise, whose every other
    attribute is that of the real one, so that back-off, jitter and the number of retries are Celery's own.
    """
    if not getattr(task, "autoretry_for", ()):
        return error
    from celery.app.autoretry import add_autoretry_behaviour

    failing = _Failing(task, error)
    add_autoretry_behaviour(failing)
    try:
        failing.run()
    except BaseException as raised:  # noqa: BLE001 - it is the answer
        return raised
    return error


class _Failing:
    """A task that raises."""

    def __init__(self, task: Any, error: BaseException) -> None:
        self._task = task
        self._error = error

    def run(self) -> None:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_run":  # of the real one
            raise AttributeError(name)
        return getattr(self._task, name)


def was_replaced(error: BaseException) -> bool:
    """Whether this Ignore is how ``Task.replace`` ends a task; nothing but its message tells."""
    return type(error) is Ignore and error.args == ("Replaced by new task",)


def cause(exc_info: Any) -> BaseException:
    """The exception of an ``ExceptionInfo``; billiard wraps it to carry a traceback between processes."""
    from billiard.einfo import ExceptionWithTraceback

    error: BaseException = exc_info.exception
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def stop_child(pool: Any, pid: int | None) -> bool:
    """Stop the job that a pool runs under ``pid``; whether the pool can.

    ``terminate_job`` may be called from any thread, ``Request.terminate`` may not: it acknowledges.
    """
    terminate = getattr(pool, "terminate_job", None)
    if terminate is None or pid is None:
        return False
    with contextlib.suppress(NotImplementedError):  # threads, solo
        terminate(pid, None)
        return True
    return False


def was_cancelled(request: Any) -> bool:
    """Whether the worker itself gave a request up: it lost the broker, or is being shut down."""
    return bool(getattr(request, "_already_cancelled", False))


def was_announced_revoked(request: Any) -> bool:
    """Whether ``_announce_revoked`` has been called."""
    return bool(getattr(request, "_already_revoked", False))

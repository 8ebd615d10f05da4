"""How an app's middlewares are defined: the decorators of ``Pyncette(app)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from celery_pyncette.middleware.chain import Chain
from celery_pyncette.middleware.definitions import read_middleware
from celery_pyncette.middleware.filters import Filter, Patterns
from celery_pyncette.middleware.registry import Middlewares

Given = TypeVar("Given", bound=Callable[..., Any])


class DefinesMiddlewares:
    """What to inherit from: what is decorated is kept in ``_middlewares``."""

    _middlewares: Middlewares

    @overload
    def middleware(self, given: Given) -> Given: ...

    @overload
    def middleware(
        self,
        given: None = None,
        *,
        scheduled: bool = False,
        tasks: Patterns = None,
        entries: Patterns = None,
        queues: Patterns = None,
    ) -> Callable[[Given], Given]: ...

    @overload
    def middleware(
        self,
        given: Given,
        *,
        scheduled: bool = False,
        tasks: Patterns = None,
        entries: Patterns = None,
        queues: Patterns = None,
    ) -> Given: ...

    def middleware(
        self,
        given: Any = None,
        *,
        scheduled: bool = False,
        tasks: Patterns = None,
        entries: Patterns = None,
        queues: Patterns = None,
    ) -> Any:
        """Put a context manager around every run of a task in the workers; as a decorator, with or without arguments.

        ::

            @pyncette.middleware(tasks="reports.*")
            def timed(run):
                began = time.monotonic()
                try:
                    yield
                finally:
                    log.info("%s took %s", run.task_name, time.monotonic() - began)

        The first one defined is the outermost. It is entered when the gate has let the run pass, and left before the
        result is stored, so its own exception fails the task. The task's exception is thrown into it. It may raise
        :class:`~celery_pyncette.middleware.Skip` before its ``yield``.

        :param given: called with a :class:`~celery_pyncette.middleware.TaskRun`; a generator function with one
            ``yield``, or anything that answers a context manager.
        :param scheduled: only runs that a beat of ours has sent.
        :param tasks: names of tasks, or patterns.
        :param entries: names of entries, or patterns; only scheduled runs have one.
        :param queues: names of queues, or patterns.
        :raises ConfigurationError: for what is no middleware, or asynchronous.
        """
        chosen = Filter.of(scheduled=scheduled, tasks=tasks, entries=entries, queues=queues)
        return _defined(lambda: self._middlewares.tasks, given, chosen)

    @overload
    def dispatch_middleware(self, given: Given) -> Given: ...

    @overload
    def dispatch_middleware(
        self, given: None = None, *, tasks: Patterns = None, entries: Patterns = None, queues: Patterns = None
    ) -> Callable[[Given], Given]: ...

    @overload
    def dispatch_middleware(
        self, given: Given, *, tasks: Patterns = None, entries: Patterns = None, queues: Patterns = None
    ) -> Given: ...

    def dispatch_middleware(
        self, given: Any = None, *, tasks: Patterns = None, entries: Patterns = None, queues: Patterns = None
    ) -> Any:
        """Put a context manager around every message that a beat sends for an entry; like :meth:`middleware`.

        ::

            @pyncette.dispatch_middleware(entries="report-*")
            def low_priority(dispatch):
                dispatch.options["priority"] = 1
                dispatch.headers["sent-for"] = dispatch.due_at.isoformat()
                yield

        It runs in the loop of the beat, and is left when the broker has answered. A
        :class:`~celery_pyncette.middleware.Skip` before its ``yield`` is a veto: the occurrence is skipped. Any other
        exception there counts as a failed publish: it is tried again, and other entries do not suffer. An exception
        after it is logged, and the message stands. Parked messages meet none.

        :param given: called with a :class:`~celery_pyncette.middleware.Dispatch`; a generator function with one
            ``yield``, or anything that answers a context manager.
        :param tasks: names of tasks, or patterns.
        :param entries: names of entries, or patterns.
        :param queues: names of queues, or patterns; as options and routes say before this middleware.
        :raises ConfigurationError: for what is no middleware, or asynchronous.
        """
        chosen = Filter.of(tasks=tasks, entries=entries, queues=queues)
        return _defined(lambda: self._middlewares.dispatches, given, chosen)


def _defined(chain: Callable[[], Chain], given: Any, chosen: Filter) -> Any:
    """Define it now, or answer a decorator that does."""

    def define(what: Any) -> Any:
        chain().add(read_middleware(what, chosen))
        return what

    return define if given is None else define(given)

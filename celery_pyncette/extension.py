"""``Pyncette(app)``: the package as an extension of one Celery app."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, overload

from celery import Celery

from celery_pyncette import apps
from celery_pyncette.client.methods import Calls
from celery_pyncette.clock import SystemClock
from celery_pyncette.delay import interceptor
from celery_pyncette.fixtures.asking import hide_injected
from celery_pyncette.fixtures.definitions import Process, read_fixture
from celery_pyncette.fixtures.lives import Life
from celery_pyncette.fixtures.registry import Fixtures, attach_fixtures, fixtures_of
from celery_pyncette.middleware.chain import Chain
from celery_pyncette.middleware.definitions import read_middleware
from celery_pyncette.middleware.filters import Filter, Patterns
from celery_pyncette.middleware.registry import Middlewares, attach, middlewares_of
from celery_pyncette.worker import hooks

Given = TypeVar("Given", bound=Callable[..., Any])
_extended: list[Celery] = []


class Pyncette(Calls):
    """The extension; say it where the app is made.

    ::

        app = Celery("proj")
        pyncette = Pyncette(app)

    It changes no entry: workers gain the gate, result-aware runs are opted into by settings. Nothing of
    the configuration is read before a worker, beat or client needs it. The client calls are its methods, too.
    """

    def __init__(self, app: Celery | None = None) -> None:
        """:param app: or call :meth:`init_app` later."""
        self.app: Celery | None = None
        self._middlewares = Middlewares()
        self._fixtures = Fixtures()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Celery) -> None:
        """Extend an app; again for the same one changes nothing but that what was defined here is the app's too."""
        self.app = app
        self._share_middlewares(app)
        self._share_fixtures(app)
        if any(known is app for known in _extended):
            return
        _extended.append(app)
        apps.remember(app)
        app.pyncette = self
        hide_injected(app)
        hooks.watch(app)
        hooks.connect()
        interceptor.connect()
        interceptor.install(app)
        if app.finalized:
            hooks.install(app)

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

    @overload
    def fixture(self, given: Given) -> Given: ...

    @overload
    def fixture(
        self,
        given: None = None,
        *,
        process: str | Iterable[str] = "tasks",
        name: str | None = None,
        retry_for: float | timedelta = 0,
    ) -> Callable[[Given], Given]: ...

    @overload
    def fixture(
        self,
        given: Given,
        *,
        process: str | Iterable[str] = "tasks",
        name: str | None = None,
        retry_for: float | timedelta = 0,
    ) -> Given: ...

    def fixture(
        self,
        given: Any = None,
        *,
        process: str | Iterable[str] = "tasks",
        name: str | None = None,
        retry_for: float | timedelta = 0,
    ) -> Any:
        """Set something up when a process begins, and tear it down at its end; a decorator, with or without arguments.

        ::

            @pyncette.fixture
            def db():
                engine = create_engine(URL)
                yield engine
                engine.dispose()


            @app.task
            def report(day: str, db: Injected[Engine]): ...

        A process whose set-up fails ends. The value goes by name to the tasks that ask for it, to the fixtures that
        have a parameter of that name, and is ``current_fixtures().db``.

        :param given: a generator function with one ``yield``, or anything that answers a context manager; it is called
            with the fixtures that its parameters without a default name.
        :param process: whose life it has: ``"tasks"``, the process that runs tasks; ``"worker"``, the main process of a
            worker; ``"beat"``; or several of these.
        :param name: instead of the function's.
        :param retry_for: seconds for which a set-up that raises is tried again.
        :raises ConfigurationError: for what is no fixture, or asynchronous, or defined twice.
        """

        def define(what: Any) -> Any:
            self._fixtures.add(read_fixture(what, name, process, retry_for))
            return what

        return define if given is None else define(given)

    @contextmanager
    def fixtures(self, process: str = "tasks") -> Iterator[None]:
        """Set the fixtures of a process up in this one, in a test or a script: ``with pyncette.fixtures(): ...``.

        :raises FixtureFailed: if one cannot be set up.
        """
        if self.app is not None:
            self.app.finalize()
            hooks.install(self.app)  # tasks that were defined since, too
        life = Life(SystemClock())
        life.begin(self._fixtures.of(Process(process)))
        try:
            yield
        finally:
            life.end()

    def _share_fixtures(self, app: Celery) -> None:
        held = fixtures_of(app)
        if held is None:
            attach_fixtures(app, self._fixtures)
        elif held is not self._fixtures:
            for fixture in self._fixtures.defined:
                held.add(fixture)
            self._fixtures = held

    def _share_middlewares(self, app: Celery) -> None:
        held = middlewares_of(app)
        if held is None:
            attach(app, self._middlewares)
        elif held is not self._middlewares:
            for middleware in self._middlewares.tasks.defined:
                held.tasks.add(middleware)
            for middleware in self._middlewares.dispatches.defined:
                held.dispatches.add(middleware)
            self._middlewares = held


def _defined(chain: Callable[[], Chain], given: Any, chosen: Filter) -> Any:
    """Define it now, or answer a decorator that does."""

    def define(what: Any) -> Any:
        chain().add(read_middleware(what, chosen))
        return what

    return define if given is None else define(given)


def extended_apps() -> tuple[Celery, ...]:
    """The apps that were extended in this process, in order."""
    return tuple(_extended)

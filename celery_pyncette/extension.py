"""``Pyncette(app)``: the package as an extension of one Celery app."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

from celery_pyncette import apps
from celery_pyncette.client.methods import Calls
from celery_pyncette.clock import SystemClock
from celery_pyncette.delay import interceptor
from celery_pyncette.fixtures.asking import hide_injected
from celery_pyncette.fixtures.decorators import DefinesFixtures
from celery_pyncette.fixtures.definitions import Process
from celery_pyncette.fixtures.lives import Life
from celery_pyncette.fixtures.registry import Fixtures, share_fixtures
from celery_pyncette.middleware.decorators import DefinesMiddlewares
from celery_pyncette.middleware.registry import Middlewares, share
from celery_pyncette.worker import hooks

_extended: list[Celery] = []


class Pyncette(DefinesMiddlewares, DefinesFixtures, Calls):
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
        self._middlewares = share(app, self._middlewares)
        self._fixtures = share_fixtures(app, self._fixtures)
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


def extended_apps() -> tuple[Celery, ...]:
    """The apps that were extended in this process, in order."""
    return tuple(_extended)

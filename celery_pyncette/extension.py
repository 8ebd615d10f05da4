"""``Pyncette(app)``: the package as an extension of one Celery app."""

from __future__ import annotations

from celery import Celery

from celery_pyncette import apps
from celery_pyncette.delay import interceptor
from celery_pyncette.worker import hooks

_extended: list[Celery] = []


class Pyncette:
    """The extension; say it where the app is made.

    ::

        app = Celery("proj")
        pyncette = Pyncette(app)

    It changes no entry: workers gain the gate, result-aware runs are opted into by settings. Nothing of
    the configuration is read before a worker, beat or client needs it.
    """

    def __init__(self, app: Celery | None = None) -> None:
        """:param app: or call :meth:`init_app` later."""
        self.app: Celery | None = None
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Celery) -> None:
        """Extend an app; again for the same one changes nothing."""
        self.app = app
        if any(known is app for known in _extended):
            return
        _extended.append(app)
        apps.remember(app)
        app.pyncette = self
        hooks.connect()
        interceptor.connect()
        interceptor.install(app)
        if app.finalized:
            hooks.install(app)


def extended_apps() -> tuple[Celery, ...]:
    """The apps that were extended in this process, in order."""
    return tuple(_extended)

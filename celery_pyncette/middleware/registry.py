"""Where the middlewares of an app are kept, for the rooms that run them."""

from __future__ import annotations

from typing import Any

from celery_pyncette.middleware.chain import Chain

_REGISTRY = "_pyncette_middlewares"


class Middlewares:
    """Those around tasks, which workers run, and those around dispatches, which beats run."""

    def __init__(self) -> None:
        self.tasks = Chain()
        self.dispatches = Chain()


def attach(app: Any, middlewares: Middlewares) -> None:
    """From now on they are the app's."""
    vars(app)[_REGISTRY] = middlewares


def middlewares_of(app: Any) -> Middlewares | None:
    """Those of an app; None if it was not extended. Costs two dictionary look-ups: it is asked for each task."""
    found: Middlewares | None = app.__dict__.get(_REGISTRY)
    return found


def share(app: Any, middlewares: Middlewares) -> Middlewares:
    """They are the app's, too, behind those that it has; answers the app's."""
    held = middlewares_of(app)
    if held is None:
        attach(app, middlewares)
        return middlewares
    if held is not middlewares:
        for middleware in middlewares.tasks.defined:
            held.tasks.add(middleware)
        for middleware in middlewares.dispatches.defined:
            held.dispatches.add(middleware)
    return held

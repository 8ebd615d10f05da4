"""Which Celery app is meant: the one given, the one that a task belongs to, or the only one there is.

Celery's ``current_app`` is never asked: it is thread-local, and in a web server's threads it is an app without
configuration. That also is what a ``shared_task`` would name, so it does not count as naming one.
"""

from __future__ import annotations

import weakref
from typing import Any

from celery import Celery, Task
from celery.local import PromiseProxy, Proxy

from celery_pyncette.core.errors import AppNotChosen

_apps: weakref.WeakSet[Celery] = weakref.WeakSet()


def remember(app: Celery) -> None:
    """``Pyncette(app)`` was called with it."""
    _apps.add(_real(app))


def forget(app: Celery) -> None:
    """The opposite of :func:`remember`, for tests; an app that it never saw is fine."""
    _apps.discard(_real(app))


def remembered() -> list[Celery]:
    """All that :func:`remember` was told of, in no order."""
    return list(_apps)


def choose(app: Celery | None = None, task: object = None) -> Celery:
    """``app`` itself; else the app of ``task``, if that is a task of one app; else the only one that is remembered.

    :raises AppNotChosen: if that leaves none, or several.
    """
    if app is not None:
        return _real(app)
    if isinstance(task, Task) and not _is_shared(task):
        return _real(task.app)
    known = remembered()
    if len(known) == 1:
        return known[0]
    if not known:
        raise AppNotChosen(
            "which Celery app is meant cannot be told: pass app=, pass a task of the app instead of a name, or call "
            "Pyncette(app) where the app is made"
        )
    names = ", ".join(sorted(repr(each.main or "an app without a name") for each in known))
    raise AppNotChosen(f"{len(known)} Celery apps in this process use Pyncette ({names}): pass app=, or a task of one")


def _real(app: Any) -> Celery:
    """The app behind a proxy."""
    behind = getattr(app, "_get_current_object", None)
    found: Celery = app if behind is None else behind()
    return found


def _is_shared(task: object) -> bool:
    """Whether it is what ``shared_task`` makes: a proxy that looks its app up anew each time."""
    return issubclass(type(task), Proxy) and not issubclass(type(task), PromiseProxy)

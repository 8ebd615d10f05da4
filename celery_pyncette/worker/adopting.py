"""Children of a pool that were spawned, not forked: they have an app of their own, without its middlewares at first.

The main process says in the configuration, which travels, in which modules they are defined, and which there are. The
child imports those modules, finds there the app that they were defined for, and takes them over; what does not
come to light ends the worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from celery import Celery

from celery_pyncette import apps
from celery_pyncette.distress import give_up, heard, open_line
from celery_pyncette.middleware.registry import Middlewares, attach, middlewares_of

#: In the app's configuration; no setting of anybody's.
_TOLD = "_pyncette_worker"


def tell(app: Celery) -> None:
    """In the main process, before the pool is made."""
    found = middlewares_of(app)
    defined = () if found is None else found.tasks.defined
    include(app, {middleware.module for middleware in defined})
    app.conf[_TOLD] = {"line": open_line(), "middlewares": [middleware.label for middleware in defined]}


def include(app: Celery, modules: Iterable[str]) -> None:
    """Have a spawned child import these too."""
    included = tuple(app.conf.include)
    app.conf.include = (*included, *sorted(set(modules) - set(included)))


def adopt(app: Celery) -> None:
    """In a child, before its first task: take over what was defined for the app that this one is a copy of.

    :raises SystemExit: if anything is missing that the main process has.
    """
    told = _told(app)
    wanted: Sequence[str] = () if told is None else told["middlewares"]
    if not wanted:
        return
    known = {id(found): found for found in map(middlewares_of, _like(app)) if found is not None}
    fitting = [found for found in known.values() if not _missing(wanted, found)]
    if not fitting:
        least = min((_missing(wanted, found) for found in known.values()), key=len, default=list(wanted))
        _fail(least, told["line"])
    if fitting[0] is not middlewares_of(app):
        fitting[0].tasks.arrange(wanted)
        attach(app, fitting[0])


def word_of_a_child(app: Celery) -> str | None:
    """Why a process has given up that this worker has started; None if none has."""
    told = _told(app)
    return None if told is None else heard(told["line"])


def line_of(app: Celery) -> Any:
    """How the worker that has started this process is reached; None if none has."""
    told = _told(app)
    return None if told is None else told["line"]


def _told(app: Celery) -> Any:
    return app.conf.get(_TOLD)


def _like(app: Celery) -> list[Celery]:
    """The app itself, which a forked child has as it was, and the extended apps of this process; same names first."""
    return [app, *sorted(apps.remembered(), key=lambda other: (other.main != app.main, str(other.main)))]


def _missing(wanted: Sequence[str], found: Middlewares) -> list[str]:
    here = Counter(middleware.label for middleware in found.tasks.defined)
    return sorted((Counter(wanted) - here).elements())


def _fail(missing: Sequence[str], line: Any) -> None:
    named = ", ".join(missing)
    give_up(
        f"middleware_lost: a spawned child of the pool does not come by {named}: importing the module does not define "
        "it there; define it where the app is made, at the top of a module that can be imported, or set "
        'worker_pool_start_method = "fork"',
        line,
    )

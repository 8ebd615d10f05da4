"""Processes of a worker that were spawned, not forked: the children of its pool, and the beat within it. They have an
app of their own, without its middlewares at first.

The main process says in the configuration, which travels, in which modules middlewares and fixtures are defined, and
which there are. The process imports those modules, finds there the app that they were defined for, and takes them over;
what does not come to light ends the worker.
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celery import Celery

from celery_pyncette import apps
from celery_pyncette.distress import TOLD, give_up, heard, line_of, open_line, told
from celery_pyncette.fixtures.definitions import Fixture
from celery_pyncette.fixtures.registry import attach_fixtures, fixtures_of
from celery_pyncette.middleware.definitions import Middleware
from celery_pyncette.middleware.registry import attach, middlewares_of

#: What each process that runs tasks must have, and what a beat must.
_OF_TASKS, _OF_BEATS = ("middlewares", "fixtures"), ("dispatches", "fixtures")


def tell(app: Celery) -> None:
    """In the main process, before the pool is made."""
    defined = _defined(app)
    include(app, {each.module for some in defined.values() for each in some})
    line = open_line()
    atexit.register(heard, line)  # whoever is shut down cold leaves nothing behind either
    app.conf[TOLD] = {"line": line, **{kind: [each.label for each in some] for kind, some in defined.items()}}


def include(app: Celery, modules: Iterable[str]) -> None:
    """Have a spawned child import these too."""
    included = tuple(app.conf.include)
    app.conf.include = (*included, *sorted(set(modules) - set(included)))


def adopt(app: Celery) -> None:
    """In a child, before its first task: take over what was defined for the app that this one is a copy of.

    :raises SystemExit: if anything is missing that the main process has.
    """
    said = told(app)
    if said is not None:
        _adopt(app, said, _OF_TASKS)


def adopt_in_beat(app: Celery) -> None:
    """The same in a beat, before it reads its schedule. Celery has not imported anything in one that was spawned.

    :raises SystemExit: if anything is missing that the main process has.
    """
    said = told(app)
    if said is not None and _missing(said, _OF_BEATS, app):
        app.loader.init_worker()
        app.set_current()  # which the modules may have changed
        _adopt(app, said, _OF_BEATS)


def _adopt(app: Celery, said: Mapping[str, Any], kinds: Sequence[str]) -> None:
    # The app itself, which a forked child has as it was; then the extended apps of this process, the same name first.
    known = [app, *sorted(apps.remembered(), key=lambda other: (other.main != app.main, str(other.main)))]
    found = min(known, key=lambda other: len(_missing(said, kinds, other)))
    missing = _missing(said, kinds, found)
    if missing:
        give_up(_problem(missing), line_of(app))
    if found is not app:
        _take_over(app, found, said)


def _take_over(app: Celery, found: Celery, said: Mapping[str, Any]) -> None:
    """In the order of the main process."""
    its_middlewares, its_fixtures = middlewares_of(found), fixtures_of(found)
    if its_middlewares is not None:
        its_middlewares.tasks.arrange(said["middlewares"])
        its_middlewares.dispatches.arrange(said["dispatches"])
        attach(app, its_middlewares)
    if its_fixtures is not None:
        its_fixtures.arrange(said["fixtures"])
        attach_fixtures(app, its_fixtures)


def word_of_a_child(app: Celery) -> str | None:
    """Why a process has given up that this worker has started; None if none has."""
    line = line_of(app)
    return None if line is None else heard(line)


def _defined(app: Celery) -> dict[str, Sequence[Middleware] | Sequence[Fixture]]:
    middlewares, fixtures = middlewares_of(app), fixtures_of(app)
    return {
        "middlewares": () if middlewares is None else middlewares.tasks.defined,
        "dispatches": () if middlewares is None else middlewares.dispatches.defined,
        "fixtures": () if fixtures is None else fixtures.defined,
    }


def _missing(said: Mapping[str, Any], kinds: Sequence[str], app: Celery) -> list[str]:
    """The labels of what an app has not that the main process has."""
    here = _defined(app)
    return sorted(
        label
        for kind in kinds
        for label in (Counter(said[kind]) - Counter(each.label for each in here[kind])).elements()
    )


def _problem(missing: Sequence[str]) -> str:
    return (
        f"not_in_spawned_child: a spawned process of this worker does not come by {', '.join(missing)}: importing the "
        "module does not define it there; define it at the top of a module that can be imported, "
        'or set worker_pool_start_method = "fork"'
    )

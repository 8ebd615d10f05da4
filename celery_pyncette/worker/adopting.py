"""Children of a pool that were spawned, not forked: they have an app of their own, without its middlewares at first.

The main process says in the configuration, which travels, in which modules middlewares and fixtures are defined, and
which there are. The child imports those modules, finds there the app that they were defined for, and takes them over;
what does not come to light ends the worker.
"""

from __future__ import annotations

import atexit
from collections import Counter
from collections.abc import Iterable, Sequence

from celery import Celery

from celery_pyncette import apps
from celery_pyncette.distress import TOLD, give_up, heard, line_of, open_line, told
from celery_pyncette.fixtures.definitions import Fixture
from celery_pyncette.fixtures.registry import attach_fixtures, fixtures_of
from celery_pyncette.middleware.definitions import Middleware
from celery_pyncette.middleware.registry import attach, middlewares_of


def tell(app: Celery) -> None:
    """In the main process, before the pool is made."""
    middlewares, fixtures = _defined(app)
    include(app, {each.module for each in middlewares} | {each.module for each in fixtures})
    line = open_line()
    atexit.register(heard, line)  # whoever is shut down cold leaves nothing behind either
    app.conf[TOLD] = {
        "line": line,
        "middlewares": [each.label for each in middlewares],
        "fixtures": [each.label for each in fixtures],
    }


def include(app: Celery, modules: Iterable[str]) -> None:
    """Have a spawned child import these too."""
    included = tuple(app.conf.include)
    app.conf.include = (*included, *sorted(set(modules) - set(included)))


def adopt(app: Celery) -> None:
    """In a child, before its first task: take over what was defined for the app that this one is a copy of.

    :raises SystemExit: if anything is missing that the main process has.
    """
    said = told(app)
    wanted: list[str] = [] if said is None else [*said["middlewares"], *said["fixtures"]]
    if not wanted:
        return
    # The app itself, which a forked child has as it was; then the extended apps of this process, the same name first.
    known = [app, *sorted(apps.remembered(), key=lambda other: (other.main != app.main, str(other.main)))]
    found = min(known, key=lambda other: len(_missing(wanted, other)))
    missing = _missing(wanted, found)
    if missing:
        give_up(_problem(missing), line_of(app))
    if found is not app:
        _take_over(app, found, said["middlewares"], said["fixtures"])


def _take_over(app: Celery, found: Celery, middlewares: Sequence[str], fixtures: Sequence[str]) -> None:
    """In the order of the main process."""
    its_middlewares, its_fixtures = middlewares_of(found), fixtures_of(found)
    if its_middlewares is not None:
        its_middlewares.tasks.arrange(middlewares)
        attach(app, its_middlewares)
    if its_fixtures is not None:
        its_fixtures.arrange(fixtures)
        attach_fixtures(app, its_fixtures)


def word_of_a_child(app: Celery) -> str | None:
    """Why a process has given up that this worker has started; None if none has."""
    line = line_of(app)
    return None if line is None else heard(line)


def _defined(app: Celery) -> tuple[Sequence[Middleware], Sequence[Fixture]]:
    middlewares, fixtures = middlewares_of(app), fixtures_of(app)
    return (
        () if middlewares is None else middlewares.tasks.defined,
        () if fixtures is None else fixtures.defined,
    )


def _missing(wanted: Sequence[str], app: Celery) -> list[str]:
    middlewares, fixtures = _defined(app)
    here = Counter([each.label for each in middlewares] + [each.label for each in fixtures])
    return sorted((Counter(wanted) - here).elements())


def _problem(missing: Sequence[str]) -> str:
    return (
        f"not_in_spawned_child: a spawned child of the pool does not come by {', '.join(missing)}: importing the "
        "module does not define it there; define it at the top of a module that can be imported, "
        'or set worker_pool_start_method = "fork"'
    )

"""When the fixtures of a worker are set up and torn down: in its main process, and in those that run its tasks."""

from __future__ import annotations

import atexit
import inspect
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery

from celery_pyncette.clock import SystemClock
from celery_pyncette.core.errors import ConfigurationError, PyncetteError
from celery_pyncette.distress import give_up, line_of
from celery_pyncette.fixtures.asking import Asks, asks_of
from celery_pyncette.fixtures.definitions import Process
from celery_pyncette.fixtures.lives import Life
from celery_pyncette.fixtures.registry import Fixtures, fixtures_of
from celery_pyncette.worker.celery_internals import runs_tasks_in_children

logger = logging.getLogger(__name__)

#: After this part of the time that a child has to come up, it is said what keeps it.
_PATIENCE = 0.75
_lives: dict[int, Life] = {}


def worker_begins(app: Celery, pool: Any) -> None:
    """In the main process, before the pool is made.

    :raises SystemExit: if something is wrong with what is defined or asked for, or a set-up fails.
    """
    fixtures = fixtures_of(app) or Fixtures()
    children = runs_tasks_in_children(pool)
    try:
        _check_tasks(app, fixtures, {Process.TASKS} if children else {Process.TASKS, Process.WORKER})
        if children:
            _check_patience(app, fixtures)
            fixtures.of(Process.TASKS)
            _begin(fixtures, Process.WORKER)
        else:
            _begin(fixtures, Process.WORKER, Process.TASKS)
    except PyncetteError as error:
        _give_up(app, error)
    atexit.register(end)  # a worker that is shut down cold says nothing


def child_begins(app: Celery) -> None:
    """In a child of the pool, before its first task.

    :raises SystemExit: if a set-up fails; the worker is told to stop.
    """
    fixtures = fixtures_of(app)
    if fixtures is None or os.getpid() in _lives:
        return  # the pool is solo: it runs tasks where the worker is
    try:
        with _impatience(app.conf.worker_proc_alive_timeout):
            _begin(fixtures, Process.TASKS)
    except PyncetteError as error:
        _give_up(app, error)
    except SystemExit as stop:  # no signal of Celery's raises it here: a fixture has
        give_up(f"fixture_failed: a fixture has ended its process, with status {stop.code!r}", line_of(app))


def end() -> None:
    """Tear down what is set up in this process."""
    life = _lives.get(os.getpid())
    if life is not None:
        life.end()
        _lives.pop(os.getpid(), None)  # only now: if this is interrupted, the end of the interpreter goes on with it


def asks_of_task(cls: type) -> Asks | None:
    """What the tasks of a class ask for.

    :raises ConfigurationError: for what cannot be injected.
    """
    run = inspect.getattr_static(cls, "run", None)
    if isinstance(run, staticmethod):
        return asks_of(run.__func__)
    return asks_of(run, bound=True) if callable(run) else None


def _begin(fixtures: Fixtures, *processes: Process) -> None:
    chosen = fixtures.of(*processes)
    life = Life(SystemClock())
    life.begin(chosen)
    _lives[os.getpid()] = life


def _check_tasks(app: Celery, fixtures: Fixtures, here: set[Process]) -> None:
    """:raises ConfigurationError: for a task that asks for what is not there."""
    names = {fixture.name for fixture in fixtures.of(*here)}
    for task in app.tasks.values():
        asks = asks_of_task(type(task))
        for name in asks.names if asks is not None else ():
            if name not in names:
                fixtures.refuse(f"task {task.name}", name, here)


def _check_patience(app: Celery, fixtures: Fixtures) -> None:
    patience = app.conf.worker_proc_alive_timeout
    longest = sum(fixture.retry_for for fixture in fixtures.of(Process.TASKS))
    if longest and longest >= patience:
        raise ConfigurationError(
            f"the fixtures of a child of the pool may be tried again for {longest:g} s in all, and a child that is "
            f"not up within worker_proc_alive_timeout = {patience:g} s is killed: set that to more, or retry_for to "
            "less"
        )


@contextmanager
def _impatience(patience: float) -> Iterator[None]:
    """Say what a child will be killed for, before it is. Celery spares those that a worker starts with."""
    problem = (
        "fixture_slow: the fixtures of this child of the pool take long; one that replaces another is killed after "
        f"worker_proc_alive_timeout = {patience:g} s; set that to more"
    )
    watch = threading.Timer(patience * _PATIENCE, logger.error, (problem,))
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def _give_up(app: Celery, error: PyncetteError) -> None:
    if error.__cause__ is not None:
        logger.error("fixture_failed: %s", error, exc_info=error.__cause__)
    give_up(
        f"fixture_failed: {error}" if error.__cause__ is not None else f"fixture_misconfigured: {error}", line_of(app)
    )

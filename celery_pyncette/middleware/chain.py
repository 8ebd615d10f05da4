"""The middlewares of one app: entered in the order of their definition, left in reverse."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.middleware.definitions import Middleware, entered
from celery_pyncette.middleware.filters import Selectable

logger = logging.getLogger(__name__)

#: How Celery is told what shall become of a task. A middleware sees them; it cannot take them back, because of a retry
#: the message is sent already.
WORDS_TO_CELERY = (Ignore, Reject, Retry)


class Entered:
    """What was entered for one run, to be left in reverse."""

    __slots__ = ("_managers",)

    def __init__(self) -> None:
        self._managers: list[AbstractContextManager[Any]] = []

    def __bool__(self) -> bool:
        return bool(self._managers)

    def add(self, manager: AbstractContextManager[Any]) -> None:
        """It was entered."""
        self._managers.append(manager)

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Leave all, the last first. Each is thrown ``error``, or what the one before it made of it.

        :return: the error that is left, or None if there was none or one of them has swallowed it.
        """
        while self._managers:
            manager = self._managers.pop()
            try:
                if error is None:
                    manager.__exit__(None, None, None)
                elif manager.__exit__(type(error), error, error.__traceback__):
                    error = error if isinstance(error, WORDS_TO_CELERY) else None
            except BaseException as raised:
                if isinstance(error, WORDS_TO_CELERY) and isinstance(raised, Exception):
                    # A task that has sent its retry must not be taken for one that failed, and send another.
                    logger.exception("middleware_failed: while the task said %s", type(error).__name__)
                else:
                    error = raised
        return error


class Chain:
    """Defined once, at import; which of them a task may want is worked out at its first run."""

    def __init__(self) -> None:
        self._defined: list[Middleware] = []
        self._by_task: dict[str, tuple[Middleware, ...]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._defined)

    @property
    def defined(self) -> tuple[Middleware, ...]:
        """In the order of their definition."""
        return tuple(self._defined)

    def add(self, middleware: Middleware) -> None:
        """It is the innermost one now; a run that is going on does without it."""
        with self._lock:
            self._defined.append(middleware)
            self._by_task = {}

    def arrange(self, labels: Sequence[str]) -> None:
        """Put them in this order: modules may have been imported in another one. What is not named comes last."""
        with self._lock:
            free = list(self._defined)
            named = [_take(free, label) for label in labels]
            self._defined = [middleware for middleware in named if middleware is not None] + free
            self._by_task = {}

    def candidates(self, task_name: str) -> tuple[Middleware, ...]:
        """Those that may want something of this task."""
        found = self._by_task.get(task_name)
        if found is None:
            with self._lock:
                fitting = (middleware for middleware in self._defined if middleware.filter.fits_task(task_name))
                found = self._by_task[task_name] = tuple(fitting)
        return found

    def enter(self, what: Selectable, into: Entered) -> None:
        """Enter all that want it; what was entered is in ``into``, also if one of them raises."""
        for middleware in self.candidates(what.task_name):
            if middleware.filter.by_task_alone or middleware.filter.fits(what):
                into.add(entered(middleware, what))


def _take(free: list[Middleware], label: str) -> Middleware | None:
    for index, middleware in enumerate(free):
        if middleware.label == label:
            return free.pop(index)
    return None

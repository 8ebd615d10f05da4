"""The occurrence in each log record of its run.

::

    from celery_pyncette.middleware.logs import LogContext

    pyncette.middleware(LogContext())
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger

from celery_pyncette.middleware.labels import About, labels_of

FIELDS = ("entry", "due_at", "attempt")
_NOTHING: dict[str, str | int] = {}
_current: ContextVar[dict[str, str | int]] = ContextVar("celery_pyncette_log_context", default=_NOTHING)


class _Labels(logging.Filter):
    """Lets everything pass, and writes on it what it is about. A field that a record has already stays as it is."""

    def __init__(self, missing: str | None) -> None:
        super().__init__()
        self._missing = missing

    def filter(self, record: logging.LogRecord) -> bool:
        fields = vars(record)
        for name, value in _current.get().items():
            fields.setdefault(name, value)
        if self._missing is not None:
            for name in FIELDS:
                fields.setdefault(name, self._missing)
        return True


class LogContext:
    """A middleware around tasks or dispatches: records that are logged within it, in its thread, have the attributes
    ``entry``, ``due_at`` (ISO 8601, UTC) and ``attempt``. Formatters that show ``extra`` show them.

    It is a filter on handlers: of Celery's loggers from their set-up on, of all others from the first run in a process
    on. One that is added later, give it ``handler.addFilter(context.filter)``.

    :param missing: what the attributes are elsewhere, for formats that name them (``%(entry)s``); else there are none.
    """

    def __init__(self, missing: str | None = None) -> None:
        self.filter = _Labels(missing)
        self._pid: int | None = None
        after_setup_logger.connect(self._set_up)
        after_setup_task_logger.connect(self._set_up)

    @contextmanager
    def __call__(self, what: About) -> Iterator[None]:
        """Around one run or dispatch; one that no entry has sent within another one is no part of it."""
        if self._pid != os.getpid():  # a pool's child sets its loggers up anew
            self._pid = os.getpid()
            self._look_at(_all_loggers())
        token = _current.set(labels_of(what))
        try:
            yield
        finally:
            _current.reset(token)

    def _set_up(self, logger: logging.Logger, **_: Any) -> None:
        self._look_at([logger])

    def _look_at(self, loggers: Iterable[logging.Logger]) -> None:
        for logger in loggers:
            for handler in logger.handlers:
                handler.addFilter(self.filter)  # again changes nothing


def _all_loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    known = list(logging.Logger.manager.loggerDict.values())
    yield from (logger for logger in known if isinstance(logger, logging.Logger))

"""Reads what Celery's result backends say about many tasks at once.

The one file that knows their inside: Celery has a public call for one task id, and none for many.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from celery import Celery, states
from celery.app import backends
from kombu.exceptions import SerializationError

from celery_pyncette.core.plans import Backend

logger = logging.getLogger(__name__)

#: So many ids are asked for in one round trip.
BATCH = 500
_STATES = {
    states.SUCCESS: Backend.SUCCESS,
    states.FAILURE: Backend.FAILURE,
    states.REVOKED: Backend.REVOKED,
    states.PENDING: None,
    states.RECEIVED: None,
}
#: What a worker writes of a copy that came too late; of any other revoked one somebody said so.
_EXPIRED = "expired"


class BackendResults:
    """An ``engine.results.Source``: an app's result backend, in an instance of its own; used from one thread.

    What is neither over nor pending is at work: STARTED, RETRY, and the states of a task's own.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._backend: Any = None

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, Backend | None]]:
        """See ``Source``."""
        try:
            backend = self._backend = self._backend or _backend_of(self._app)
            read = _reader_of(backend)
            for start in range(0, len(ids), BATCH):
                for task_id, state in read(backend, ids[start : start + BATCH]):
                    said = _STATES.get(state, Backend.STARTED)
                    too_late = said is Backend.REVOKED and _has_expired(backend, task_id)
                    yield task_id, None if too_late else said
        except Exception:
            self.close()  # its connections may be broken
            raise

    def close(self) -> None:
        """Give the connections up; a later question makes others."""
        backend, self._backend = self._backend, None
        if hasattr(backend, "session_manager"):
            backend.session_manager.invalidate(backend.url)


def _backend_of(app: Celery) -> Any:
    kind, url = backends.by_url(app.backend_cls or app.conf.result_backend, app.loader)
    backend = kind(app=app, url=url)
    if hasattr(backend, "session_manager"):
        # SQL: else it connects anew for each question; so say its workers' children, which keep their connections.
        backend.session_manager.forked = True
    return backend


_Found = Iterator[tuple[str, str]]
_Reader = Callable[[Any, Sequence[str]], _Found]


def _reader_of(backend: Any) -> _Reader:
    kinds = {kind.__name__ for kind in type(backend).__mro__}
    if "DatabaseBackend" in kinds and hasattr(backend, "task_cls"):
        return _by_query
    return _by_mget if "RedisBackend" in kinds else _one_by_one


def _by_query(backend: Any, ids: Sequence[str]) -> _Found:
    """SQL: one SELECT over the backend's own session and model; its `get_state` takes a query for each id."""
    from celery.backends.database import session_cleanup

    task = backend.task_cls
    session = backend.ResultSession()
    with session_cleanup(session):
        found = dict(session.query(task.task_id, task.status).filter(task.task_id.in_(ids)).all())
    for task_id in ids:
        yield task_id, found.get(task_id, states.PENDING)


def _by_mget(backend: Any, ids: Sequence[str]) -> _Found:
    """Redis: one MGET of the backend's own keys."""
    values = backend.mget([backend.get_key_for_task(one) for one in ids])
    for task_id, value in zip(ids, values, strict=True):
        yield task_id, states.PENDING if value is None else _status(task_id, backend.decode, value)


def _one_by_one(backend: Any, ids: Sequence[str]) -> _Found:
    """All others: one question for each, past the backend's cache."""
    for task_id in ids:
        yield task_id, _status(task_id, backend.get_task_meta, task_id, False)


def _status(task_id: str, read: Callable[..., Any], *args: Any) -> str:
    """A state; a result that cannot be decoded has some state, and counts as at work until ``max_run``."""
    try:
        return str(read(*args)["status"])
    except (ValueError, TypeError, LookupError, SerializationError) as error:
        logger.warning("result_unreadable: task %s: %s", task_id, error, extra={"task_id": task_id})
        return str(states.STARTED)


def _has_expired(backend: Any, task_id: str) -> bool:
    """Whether a revoked copy was merely too late."""
    result = backend.get_task_meta(task_id, False).get("result")
    return str(result) == _EXPIRED or (isinstance(result, Mapping) and _EXPIRED in (result.get("exc_message") or ()))

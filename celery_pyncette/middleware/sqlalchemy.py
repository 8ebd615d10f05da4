"""A SQLAlchemy session for each run of a task.

::

    from celery_pyncette.middleware.sqlalchemy import SessionPerRun

    sessions = SessionPerRun(sessionmaker(create_engine(URL)))
    pyncette.middleware(sessions, tasks="billing.*")

    @app.task
    def bill(customer):
        sessions.current.add(Invoice(customer=customer))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.middleware.runs import TaskRun

S = TypeVar("S", bound=Session)


class SessionPerRun(Generic[S]):
    """A middleware around tasks: each run has a session of its own. It is committed before the result is stored, rolled
    back if the task raised anything, ``Retry`` and ``Ignore`` included, and closed always.

    A commit that fails fails the task. No connection is used before the task uses its session.

    :param make: answers a new session, a ``sessionmaker`` for example. It is called in the process of the task. A child
        must not share a connection with the worker that has forked it: use no engine before that, or dispose it.
    """

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self._current: ContextVar[S | None] = ContextVar("celery_pyncette_session", default=None)

    @property
    def current(self) -> S:
        """The session of this run.

        :raises PyncetteError: outside of a run that has one.
        """
        session = self._current.get()
        if session is None:
            raise PyncetteError(
                "no session here: the code is not within a run of a task that SessionPerRun is around; see its filters"
            )
        return session

    @contextmanager
    def __call__(self, run: TaskRun) -> Iterator[S]:
        """Around one run."""
        session = self._make()
        token = self._current.set(session)
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            self._current.reset(token)
            session.close()

"""Calls that wait for a commit, for stores that cannot be a part of the transaction."""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable
from typing import Any

from celery_pyncette.core.errors import InvalidEntry

logger = logging.getLogger(__name__)

Call = Callable[[], object]

_KEPT = "pyncette_after_commit"
_RULE = "must be a SQLAlchemy session, a connection of Django's, or the alias of one"


def after_commit(session: Any, call: Call) -> None:
    """Call once the transaction has committed; never, if it or the savepoint that we are in is rolled back.

    ::

        after_commit(session, partial(schedule_task, send_mail, f"mail-{order.id}", execute_at=tomorrow))

    A process that dies between the commit and the call loses the call. Each call is made, whatever another one raises;
    the first error is raised to whoever commits, after that.

    :param session: a SQLAlchemy session, or Django's connection, or its alias (there, with no transaction: at once).
    :raises InvalidEntry: for anything else.
    """
    if "django.db" in sys.modules and _with_django(session, call):
        return
    from sqlalchemy.orm import Session, scoped_session

    session = session() if isinstance(session, scoped_session) else session
    if not isinstance(session, Session):
        raise InvalidEntry("session", session, _RULE)
    waiting = session.info.get(_KEPT)
    if waiting is None:
        waiting = session.info[_KEPT] = Waiting(session)
    waiting.add(call)


def _with_django(given: Any, call: Call) -> bool:
    from django.db import connections, transaction

    from celery_pyncette.stores.django.session import is_django

    if not isinstance(given, str) and not is_django(given):
        return False
    alias = given if isinstance(given, str) else given.alias
    hooks: Hooks = vars(connections[alias]).setdefault("_" + _KEPT, Hooks())
    transaction.on_commit(hooks.hook(call), using=alias)
    return True


class Hooks:
    """The calls that wait for the commit of one connection of Django's, which drops all that follow one that raises.

    An error is kept until the last one is called. Django says to nobody which ones went with a savepoint: those are
    referred to by nothing any more.
    """

    def __init__(self) -> None:
        self._waiting: weakref.WeakSet[_Hook] = weakref.WeakSet()
        self._first: Exception | None = None

    def hook(self, call: Call) -> Call:
        """What Django is to call."""
        if not self._waiting:
            self._first = None
        hook = _Hook(self, call)
        self._waiting.add(hook)
        return hook

    def run(self, hook: _Hook) -> None:
        """:raises Exception: by the last one: the first error; further ones, and those before the last, are logged."""
        self._waiting.discard(hook)
        try:
            hook.call()
        except Exception as error:
            if self._waiting or self._first is not None:
                logger.exception("after_commit: a call failed, the others are made: %s", _name(hook.call))
            self._first = self._first or error
        if not self._waiting and self._first is not None:
            first, self._first = self._first, None
            raise first


class _Hook:
    __slots__ = ("__weakref__", "_hooks", "call")

    def __init__(self, hooks: Hooks, call: Call) -> None:
        self._hooks = hooks
        self.call = call

    def __call__(self) -> None:
        self._hooks.run(self)


class Waiting:
    """The calls that wait for one session, each with the transaction or savepoint that it was made in."""

    def __init__(self, session: Any) -> None:
        from sqlalchemy import event

        self._session = session
        self._calls: list[tuple[Any, Call]] = []
        self._committed: Any = None
        event.listen(session, "after_commit", self._note)
        event.listen(session, "after_transaction_end", self._end)

    def add(self, call: Call) -> None:
        """Wait for the transaction that the session is in, or begins now."""
        if not self._session.in_transaction():
            self._session.begin()
        self._calls.append((self._innermost(), call))

    def _innermost(self) -> Any:
        return self._session.get_nested_transaction() or self._session.get_transaction()

    def _note(self, session: Any) -> None:
        """A transaction or savepoint was committed, and is about to end."""
        del session
        self._committed = self._innermost()

    def _end(self, session: Any, transaction: Any) -> None:
        del session
        mine = [call for where, call in self._calls if where is transaction]
        others = [(where, call) for where, call in self._calls if where is not transaction]
        committed = self._committed is transaction
        if committed:
            self._committed = None
        if not committed:
            self._calls = others
        elif transaction.parent is not None:  # of a savepoint: now it is up to what is around it
            self._calls = [(transaction.parent if w is transaction else w, call) for w, call in self._calls]
        else:
            self._calls = others
            _call_all(mine)


def _call_all(calls: list[Call]) -> None:
    """Each is called, whatever another one raises. :raises Exception: the first error; further ones are logged."""
    first: Exception | None = None
    for call in calls:
        try:
            call()
        except Exception as error:
            if first is not None:
                logger.exception("after_commit: another call failed, too: %s", _name(call))
            first = first or error
    if first is not None:
        raise first


def _name(call: Call) -> str:
    """Without its arguments, which may be secrets."""
    what = getattr(call, "func", call)
    return str(getattr(what, "__qualname__", type(what)))

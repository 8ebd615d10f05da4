"""NOTIFY on PostgreSQL. Within a transaction it is heard when that commits, and never if it is rolled back."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from sqlalchemy import func, literal, select


class Executing(Protocol):
    """What executes a statement: a connection of SQLAlchemy's, or a ``session.Session``."""

    def execute(self, statement: Any, /) -> Any: ...


def channel_of(namespace: str) -> str:
    """A name of at most 63 bytes, as PostgreSQL wants it."""
    return "pyncette_" + hashlib.blake2b(namespace.encode(), digest_size=10).hexdigest()


def notify(connection: Executing, namespace: str) -> None:
    """Wake the beats of a namespace."""
    connection.execute(select(func.pg_notify(literal(channel_of(namespace)), literal(""))))


class JoinedWakeUps:
    """What ``Rousing`` needs, over a connection whose transaction is the caller's."""

    def __init__(self, connection: Executing, namespace: str) -> None:
        self._connection, self._namespace = connection, namespace

    def wake(self) -> None:
        """See ``protocol.Wakes``; an error of the database is the caller's own."""
        notify(self._connection, self._namespace)

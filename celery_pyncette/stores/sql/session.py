"""A transaction of the caller's, as a joined store sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import sqlalchemy
from sqlalchemy import Connection


class Session(Protocol):
    """Executes statements of SQLAlchemy's Core that carry their values."""

    @property
    def dialect(self) -> str:
        """``postgresql``, ``mysql`` or ``sqlite``."""

    def execute(self, statement: Any, /) -> Iterable[Sequence[Any]]:
        """The rows that it answers, read as the columns' types say."""

    def has_table(self, name: str, /) -> bool: ...


class SqlalchemySession:
    """Over a connection of SQLAlchemy's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        name = connection.dialect.name
        self.dialect = "mysql" if name == "mariadb" else name

    def execute(self, statement: Any, /) -> Iterable[Sequence[Any]]:
        result = self._connection.execute(statement)
        return result.all() if result.returns_rows else ()

    def has_table(self, name: str, /) -> bool:
        return bool(sqlalchemy.inspect(self._connection).has_table(name))


def session_of(given: object) -> SqlalchemySession | None:
    """Of a SQLAlchemy connection or session; None for anything else."""
    if isinstance(given, Connection):
        return SqlalchemySession(given)
    from sqlalchemy.orm import Session as OrmSession
    from sqlalchemy.orm import scoped_session

    if isinstance(given, (OrmSession, scoped_session)):
        return SqlalchemySession(given.connection())
    return None

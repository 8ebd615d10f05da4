"""Statements of SQLAlchemy's Core on a cursor of Django's, whatever its driver is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.stores.sql.tables import Bytewise

#: Every cursor of Django's takes ``%s``.
_DIALECTS: dict[str, Any] = {
    "postgresql": PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
    "mysql": mysql.dialect(paramstyle="format"),
    "sqlite": sqlite.dialect(paramstyle="format"),
}


class DjangoSession:
    """See ``sql.session.Session``; over Django's own connection of this thread.

    So Django's query log, its execute wrappers and its bookkeeping of broken transactions see the statements.
    """

    def __init__(self, connection: Any) -> None:
        if connection.vendor not in _DIALECTS:
            raise ConfigurationError(f"a database of kind {connection.vendor} cannot be a store")
        self.dialect: str = connection.vendor
        self._dialect = _DIALECTS[connection.vendor]
        self._connection = connection

    def execute(self, statement: Any, /) -> Sequence[Sequence[Any]]:
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        arguments = [self._bound(compiled, name) for name in compiled.positiontup or ()]
        with self._connection.cursor() as cursor:
            cursor.execute(compiled.string, arguments)
            if not statement.is_select:
                return ()
            types = [column.type for column in statement.selected_columns]
            return [
                [self._read(kind, value) for kind, value in zip(types, row, strict=True)] for row in cursor.fetchall()
            ]

    def _bound(self, compiled: Any, name: str) -> Any:
        # The members of an IN are numbered after it, and have its type.
        bind = compiled.binds[name if name in compiled.binds else name.rpartition("_")[0]]
        value = compiled.params[name]
        return bind.type.process_bind_param(value, self._dialect) if isinstance(bind.type, Bytewise) else value

    def _read(self, kind: Any, value: Any) -> Any:
        if isinstance(kind, Bytewise):
            return kind.process_result_value(value, self._dialect)
        return bytes(value) if isinstance(value, memoryview) else value

    def has_table(self, name: str, /) -> bool:
        with self._connection.cursor() as cursor:
            return name in self._connection.introspection.table_names(cursor)


def is_django(given: object) -> bool:
    """Whether it is a connection of Django's, or the proxy ``django.db.connection``."""
    return isinstance(given, BaseDatabaseWrapper) or type(given).__name__ == "ConnectionProxy"

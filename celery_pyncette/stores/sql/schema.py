"""The schema's version, and the numbered steps that lead to it.

``pyncette_schema`` has a row per step that was taken. A step can be taken again after it was broken off:
MySQL cannot undo half of one. Steps are taken under an advisory lock: ten beats may start at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, func, inspect, select, text

from celery_pyncette.core.errors import SchemaMismatch, StoreRefused, StoreUnavailable
from celery_pyncette.stores.sql.connections import transaction
from celery_pyncette.stores.sql.tables import NAMES, READY, records, schema

#: The first 60 bits of "pyncette".
_LOCK = 0x70796E636574746
_LOCK_NAME = "pyncette_schema"


def _first_tables(connection: Connection) -> None:
    records.create(connection, checkfirst=True)
    for index in (READY, NAMES):
        index.create(connection, checkfirst=True)


#: Step n leads from version n - 1 to n. Never edit one that was released: add another.
STEPS: tuple[Callable[[Connection], None], ...] = (_first_tables,)


def version_of(connection: Connection) -> int:
    """The version of the schema that is there; 0 for none."""
    if not inspect(connection).has_table(schema.name):
        return 0
    return connection.scalar(select(func.max(schema.c.version))) or 0


def verify(connection: Connection, shown: str) -> None:
    """:raises SchemaMismatch: unless the schema is the one of this release."""
    _judge(version_of(connection), shown)


def upgrade(connection: Connection, shown: str) -> None:
    """Take the steps that are missing; with none missing this needs no right but to read.

    :raises SchemaMismatch: if the schema is newer than this release.
    """
    version = version_of(connection)
    if version < len(STEPS):
        with _alone(connection):
            for number in range(version_of(connection) + 1, len(STEPS) + 1):
                schema.create(connection, checkfirst=True)
                STEPS[number - 1](connection)
                connection.execute(schema.insert(), {"version": number})
            version = version_of(connection)
    _judge(version, shown)


def _judge(version: int, shown: str) -> None:
    known = len(STEPS)
    if version == 0:
        raise SchemaMismatch(
            f"{shown}: no tables of celery-pyncette; a beat or `celery pyncette store upgrade` makes them"
        )
    if version < known:
        raise SchemaMismatch(
            f"{shown}: schema {version} is older than this release's {known}; run `celery pyncette store upgrade`"
        )
    if version > known:
        raise SchemaMismatch(f"{shown}: schema {version} is newer than this release's {known}; upgrade celery-pyncette")


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Nobody else changes the schema meanwhile."""
    if connection.dialect.name != "mysql":
        with transaction(connection):  # on SQLite the transaction itself is the lock
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield
        return
    # DDL commits by itself on MySQL, so the lock is the session's; it ends with the connection at the latest.
    lock = {"name": _LOCK_NAME}
    if connection.scalar(text("SELECT GET_LOCK(CONCAT(:name, ':', MD5(DATABASE())), 30)"), lock) != 1:
        raise StoreUnavailable("another process is changing the schema")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(CONCAT(:name, ':', MD5(DATABASE())))"), lock)


def check_server(connection: Connection, shown: str) -> None:
    """:raises StoreRefused: if the server is older than what the claims need (SKIP LOCKED)."""
    dialect = connection.dialect
    version = dialect.server_version_info or (999,)
    mariadb = bool(getattr(dialect, "is_mariadb", False))
    least = {"postgresql": (12,), "mysql": (10, 6) if mariadb else (8,)}.get(dialect.name, (0,))
    if version < least:
        name = "MariaDB" if mariadb else dialect.name
        raise StoreRefused(f"{shown}: this server is too old; {name} {'.'.join(map(str, least))} is needed")

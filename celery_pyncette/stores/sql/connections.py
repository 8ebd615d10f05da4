"""How connections are made, what they are told, and when one is not trusted any more.

Every connection is in autocommit mode: a single statement is its own transaction and costs one round
trip; several are put between ``BEGIN`` and ``COMMIT`` by :func:`transaction`. There is no session state
on PostgreSQL, so that a pooler in transaction mode may stand between.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError

from celery_pyncette.clock import Clock
from celery_pyncette.stores.sql.address import refuse_network_file

#: A pooled connection that was unused for as long is not trusted: a firewall may have forgotten it.
IDLE_SECONDS = 60.0

#: The execution option of a connection that holds the statement to begin with.
BEGIN = "pyncette_begin"


def open_engine(url: URL, timeout: float, clock: Clock) -> Engine:
    """An engine that connects at its first use; no call on it waits much longer than ``timeout`` seconds."""
    how: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    kind = url.get_backend_name()
    if kind == "postgresql":
        from celery_pyncette.stores.sql.postgresql import connector

        how |= {"creator": connector(url, timeout), "pool_timeout": timeout}
    elif kind == "mysql":
        seconds = {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
        how |= {"connect_args": seconds, "pool_timeout": timeout}
    else:
        how |= {"connect_args": {"timeout": timeout, "check_same_thread": False}}
    engine = create_engine(url, hide_parameters=True, **how)  # arguments of tasks are in no error that may be logged
    # Nothing is left open when a connection goes back, so nothing is to be rolled back: one round trip less.
    engine.dialect.skip_autocommit_rollback = True
    if kind == "mysql":
        _listen(engine, "connect", lambda raw, record: _mysql_session(raw, timeout))
    if kind == "sqlite":
        _listen(engine, "connect", lambda raw, record: _sqlite_session(raw, str(url.database), timeout, clock))
    else:
        _distrust(engine, clock)
    return engine.execution_options(**{BEGIN: _begin(kind, timeout)})


def _begin(kind: str, timeout: float) -> str:
    if kind == "sqlite":
        return "BEGIN IMMEDIATE"
    if kind == "mysql":
        return "START TRANSACTION"
    statement, lock = int(timeout * 900) or 1, lock_timeout(timeout)
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED; "
        f"SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}"
    )


def lock_timeout(timeout: float) -> int:
    """How long PostgreSQL waits for a lock, in milliseconds, where a call waits for so many seconds."""
    return int(timeout * 500) or 1


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """Several statements that hold together; what comes out undone is not written."""
    connection.exec_driver_sql(connection.get_execution_options()[BEGIN])
    try:
        yield connection
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        # A connection that cannot be rolled back is never used again.
        try:
            connection.exec_driver_sql("ROLLBACK")
        except Exception:  # noqa: BLE001 - whatever it was, the first error is the one to tell
            connection.invalidate()
        raise


def _mysql_session(raw: Any, timeout: float) -> None:
    """READ COMMITTED takes no gap locks; each server reads the comment that is meant for it."""
    wait = max(1, int(timeout / 2))
    with raw.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute(
            f"SET SESSION sql_mode = 'STRICT_ALL_TABLES', innodb_lock_wait_timeout = {wait}"
            f" /*M!100101 , max_statement_time = {timeout:.3f} */"
            f" /*!50708 , max_execution_time = {int(timeout * 1000)} */"
        )


def _sqlite_session(raw: Any, path: str, timeout: float, clock: Clock) -> None:
    """WAL: readers and the writer do not wait for one another. Two that turn it on at once do not wait: ask again."""
    import sqlite3

    refuse_network_file(path)
    cursor = raw.cursor()
    end = clock.monotonic() + timeout
    while cursor.execute("PRAGMA journal_mode").fetchone()[0].lower() != "wal":
        try:
            cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError:
            if clock.monotonic() > end:
                raise
            clock.sleep(0.02)
    cursor.close()


def _distrust(engine: Engine, clock: Clock) -> None:
    """Replace a pooled connection whose server hung up, or that was unused for long; costs no round trip."""

    def check(raw: Any, record: Any, proxy: Any) -> None:
        used: float | None = record.info.pop("used", None)
        if used is not None and (clock.monotonic() - used > IDLE_SECONDS or _hung_up(raw)):
            raise DisconnectionError

    def note(raw: Any, record: Any) -> None:
        record.info["used"] = clock.monotonic()

    _listen(engine, "checkout", check)
    _listen(engine, "checkin", note)


def _hung_up(raw: Any) -> bool:
    """An idle connection has nothing to read, unless its server said goodbye."""
    try:
        number = raw.fileno() if hasattr(raw, "fileno") else raw._sock.fileno()
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
    except Exception:  # noqa: BLE001 - closed already
        return True


def _listen(engine: Engine, name: str, handler: Any) -> None:
    event.listen(engine, name, handler)

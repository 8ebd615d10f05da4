"""What a driver says, as one of the three errors of a store: worth another try, a person must act, wrong schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from celery_pyncette.core.errors import SchemaMismatch, StoreError, StoreRefused, StoreUnavailable

#: SQLSTATE of PostgreSQL: undefined table, column, schema; text too long.
_PG_SCHEMA = {"42P01", "42703", "3F000"}
#: Authorization, no such database, permission, read-only transaction or standby.
_PG_REFUSED = ("28", "3D000", "42501", "25006")
#: Errors of programming or data: the same call would fail the same way. Class 57 (shutdown, timeout) and 40 would not.
_PG_HOPELESS = ("22", "23", "42", "0A")
#: psycopg gives no SQLSTATE for what fails while connecting.
_PG_CONNECT = re.compile(
    r"authentication failed|no pg_hba\.conf entry|role \".*\" does not exist|database \".*\" does not exist"
    r"|permission denied|certificate verify failed|does not support SSL|no password supplied|root certificate",
)
_MYSQL_SCHEMA = {1146, 1054}
_MYSQL_REFUSED = {1044, 1045, 1049, 1142, 1143, 1227, 1251, 1290, 1698, 1792, 1836, 2026, 2061, 3159}
_MYSQL_HOPELESS = (1064, 1366, 1406, 1048)
_SQLITE_SCHEMA = re.compile(r"no such (table|column)")
_SQLITE_REFUSED = re.compile(r"readonly database|unable to open|not a database|malformed|authoriz|disk is full")


@contextmanager
def translated(shown: str) -> Iterator[None]:
    """Within it, what SQLAlchemy or a driver raises comes out as a ``StoreError``. ``shown``: the masked URL."""
    try:
        yield
    except exc.StatementError as error:
        if isinstance(error.orig, ValueError):  # text that is not Unicode never left this process
            raise error.orig from None
        raise _of(error.orig or error, shown) from error
    except (exc.TimeoutError, exc.InvalidRequestError) as error:  # no connection to be had, or one that died at once
        raise StoreUnavailable(f"{shown}: {error}") from error


def is_race(error: exc.DBAPIError) -> bool:
    """Whether a transaction was undone because another was faster; nothing of it was written.

    A key that appeared meanwhile, or a deadlock that the database resolved.
    """
    orig = error.orig
    if isinstance(error, exc.IntegrityError):
        return True
    return getattr(orig, "sqlstate", None) in ("40001", "40P01") or _number(orig) in (1213, 1020)


def _of(orig: BaseException, shown: str) -> StoreError:
    said = f"{shown}: {' '.join(str(orig).split())}"
    driver = type(orig).__module__.partition(".")[0]
    if driver == "psycopg":
        return _postgresql(orig, said)
    if driver == "sqlite3":
        return _sqlite(orig, said)
    number = _number(orig)
    if number in _MYSQL_SCHEMA:
        return SchemaMismatch(said)
    return StoreRefused(said) if number in _MYSQL_REFUSED or number in _MYSQL_HOPELESS else StoreUnavailable(said)


def _postgresql(orig: BaseException, said: str) -> StoreError:
    state: str | None = getattr(orig, "sqlstate", None)
    if state in _PG_SCHEMA:
        return SchemaMismatch(said)
    if state is None:
        hopeless = type(orig).__name__ == "DataError" or _PG_CONNECT.search(said)
        return StoreRefused(said) if hopeless else StoreUnavailable(said)
    return StoreRefused(said) if state.startswith((*_PG_REFUSED, *_PG_HOPELESS)) else StoreUnavailable(said)


def _sqlite(orig: BaseException, said: str) -> StoreError:
    if _SQLITE_SCHEMA.search(said):
        return SchemaMismatch(said)
    return StoreRefused(said) if _SQLITE_REFUSED.search(said) else StoreUnavailable(said)


def _number(orig: object) -> int | None:
    args = getattr(orig, "args", ())
    return args[0] if args and isinstance(args[0], int) else None

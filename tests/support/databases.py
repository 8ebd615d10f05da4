"""Clean databases on shared servers, each for one test, removed after it; those of dead test runs are removed too."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.servers.catalogue import connect_mariadb

PREFIX = "pyncette_test"


@contextlib.contextmanager
def postgresql_database(server_url: str) -> Iterator[str]:
    """The URL of a new PostgreSQL database."""
    import psycopg

    def ask(statement: str) -> list[str]:
        with psycopg.connect(server_url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []

    _remove_stale(
        server_url,
        lambda: ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{PREFIX}_%'"),
        lambda name: ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
    )
    name = _new_name()
    ask(f"CREATE DATABASE {name}")
    try:
        yield _with_path(server_url, name)
    finally:
        ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def mariadb_database(server_url: str) -> Iterator[str]:
    """The URL of a new MariaDB or MySQL database."""

    def ask(statement: str) -> list[str]:
        with contextlib.closing(connect_mariadb(server_url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()]

    _remove_stale(
        server_url,
        lambda: ask(f"SHOW DATABASES LIKE '{PREFIX}%'"),
        lambda name: ask(f"DROP DATABASE IF EXISTS {name}"),
    )
    name = _new_name()
    ask(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield _with_path(server_url, name)
    finally:
        ask(f"DROP DATABASE IF EXISTS {name}")


@contextlib.contextmanager
def redis_database(server_url: str) -> Iterator[str]:
    """The URL of an empty numbered Redis database that no other test uses meanwhile; flushed after use.

    One that holds somebody's data is never touched: only databases that a test run noted as its own are flushed.
    """
    import redis

    host = urlsplit(server_url)
    for number in range(15, 0, -1):
        url = _with_path(server_url, str(number))
        lock = (
            Path(tempfile.gettempdir()) / f"{PREFIX}-{os.geteuid()}-{host.hostname}-{host.port or 6379}-{number}.lock"
        )
        with lock.open("a+") as note, redis.Redis.from_url(url, socket_timeout=10) as client:
            if not _locked(note.fileno()):
                continue
            note.seek(0)
            if note.read():
                client.flushdb()
            if client.dbsize():
                continue
            note.truncate(0)
            note.write(f"{os.getpid()}\n")
            note.flush()
            try:
                yield url
            finally:
                client.flushdb()
                note.truncate(0)
            return
    raise RuntimeError(f"each of the databases 1-15 of {server_url} holds data or is in use")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _new_name() -> str:
    return f"{PREFIX}_{os.getpid()}_{secrets.token_hex(4)}"


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


_cleaned: set[str] = set()


def _remove_stale(server_url: str, names: Callable[[], Iterable[str]], drop: Callable[[str], object]) -> None:
    """Once per process: drop the databases whose test run no longer lives."""
    if server_url in _cleaned:
        return
    _cleaned.add(server_url)
    for name in names():
        owner = re.fullmatch(rf"{PREFIX}_(\d+)_[0-9a-f]+", name)
        if owner and not _lives(int(owner[1])):
            drop(name)


@functools.cache
def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

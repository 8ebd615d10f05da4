"""The servers that tests use: their addresses, and whether they answer.

An environment variable names a server elsewhere, as a URL: PYNCETTE_TEST_POSTGRESQL, PYNCETTE_TEST_MARIADB,
PYNCETTE_TEST_REDIS, PYNCETTE_TEST_RABBITMQ. Without one, the standard port is tried, then what
`python -m tests.servers ensure` started. Every probe logs in and asks something, as the tests will.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

STARTED = Path(__file__).parents[2] / ".test-servers" / "started.json"
"""What `ensure` started itself: name -> {"url", "pid", "directory"}."""

TEST_USER = "pyncette_test"


def probe_postgresql(url: str) -> None:
    import psycopg

    with psycopg.connect(url, connect_timeout=3) as connection:
        row = connection.execute("SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
        if not row or not row[0]:
            raise PermissionError("the user may not create databases")


def probe_mariadb(url: str) -> None:
    connection = connect_mariadb(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW GRANTS")
            grants = " ".join(row[0] for row in cursor.fetchall())
        if "ALL PRIVILEGES ON *.*" not in grants and "CREATE" not in grants:
            raise PermissionError("the user may not create databases")
    finally:
        connection.close()


def connect_mariadb(url: str):
    """A PyMySQL connection to the server of the URL, in autocommit, with no database chosen."""
    import pymysql

    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        connect_timeout=3,
        read_timeout=10,
        autocommit=True,
    )


def probe_redis(url: str) -> None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0)) as client:
        client.ping()


def probe_rabbitmq(url: str) -> None:
    import amqp

    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port or 5672}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        connect_timeout=3,
        read_timeout=5,
        write_timeout=5,
    )
    try:
        connection.connect()
        connection.channel().close()
    finally:
        connection.close()


@dataclass(frozen=True)
class Server:
    """A server that tests share."""

    name: str
    variable: str
    standard: tuple[str, ...]
    probe: Callable[[str], None]

    def addresses(self) -> list[str]:
        """The URLs to try, best first; what the environment says excludes all others."""
        if os.environ.get(self.variable):
            return [os.environ[self.variable]]
        started = _started().get(self.name)
        return [*self.standard, *([started["url"]] if started else [])]


SERVERS = {
    server.name: server
    for server in (
        Server(
            "postgresql",
            "PYNCETTE_TEST_POSTGRESQL",
            ("postgresql://postgres@127.0.0.1:5432/postgres",),
            probe_postgresql,
        ),
        Server("mariadb", "PYNCETTE_TEST_MARIADB", ("mysql://root@127.0.0.1:3306",), probe_mariadb),
        Server("redis", "PYNCETTE_TEST_REDIS", ("redis://127.0.0.1:6379/0",), probe_redis),
        Server("rabbitmq", "PYNCETTE_TEST_RABBITMQ", ("amqp://guest:guest@127.0.0.1:5672//",), probe_rabbitmq),
    )
}

PROGRAMS: dict[str, tuple[str, ...]] = {
    "own-redis": ("redis-server",),
    "redis-cluster": ("redis-server",),
    "own-postgresql": ("initdb", "postgres"),
    "own-mariadb": ("mariadbd", "mariadb-install-db"),
    "own-rabbitmq": ("rabbitmq-server",),
    "prometheus": ("prometheus", "promtool"),
    "chromium": ("chromium", "chromedriver"),
    "docker-compose": ("docker-compose",),
}
"""What tests start for themselves, on ports and with data of their own -> the programs that this takes."""

STORES = ("memory", "sqlite", "postgresql", "mariadb", "redis", "redis-cluster")
BROKERS = ("memory", "filesystem", "redis", "rabbitmq")

EXTRA_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/*/bin",
    "/usr/local/opt/*/bin",
    "/usr/lib/rabbitmq/bin",
    "/usr/sbin",
)


def program(name: str) -> str | None:
    """Where this server program is; also looks where package managers hide it from PATH, newest first."""
    places = sorted((str(place) for pattern in EXTRA_PLACES for place in Path("/").glob(pattern[1:])), reverse=True)
    inner = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    if name == "rabbitmq-server" and os.access(inner, os.X_OK):
        return inner  # the one on PATH changes to another user first
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))


@dataclass(frozen=True)
class Found:
    """A server that answers, or the reason why there is none."""

    name: str
    url: str | None
    reason: str = ""


@functools.cache
def find(name: str) -> Found:
    """Look for a server or for the programs of an own one; asks once per process."""
    if name in ("memory", "sqlite", "filesystem"):
        return Found(name, name)
    if name in PROGRAMS:
        missing = [needed for needed in PROGRAMS[name] if program(needed) is None]
        return Found(name, None, f"not installed: {', '.join(missing)}") if missing else Found(name, name)
    return _ask(SERVERS[name])


def _ask(server: Server) -> Found:
    reasons = []
    for url in server.addresses():
        try:
            server.probe(url)
        except Exception as error:
            said = " ".join(str(error).split())
            reasons.append(f"{masked(url)}: {type(error).__name__}: {said[:200]}")
        else:
            return Found(server.name, url)
    return Found(server.name, None, "; ".join(reasons))


def masked(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    return url if parts.password is None else url.replace(f":{parts.password}@", ":***@")


def _started() -> dict[str, dict[str, str]]:
    return json.loads(STARTED.read_text()) if STARTED.exists() else {}

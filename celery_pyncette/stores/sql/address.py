"""Store URLs of SQL databases: which driver, which file."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from celery_pyncette.core.errors import ConfigurationError, StoreRefused
from celery_pyncette.stores.urls import mask

#: Scheme -> (dialect and driver, module, extra).
_DRIVERS = {
    "postgresql": ("postgresql+psycopg", "psycopg", "postgresql"),
    "postgres": ("postgresql+psycopg", "psycopg", "postgresql"),
    "postgresql+psycopg": ("postgresql+psycopg", "psycopg", "postgresql"),
    "mysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "pymysql", "mysql"),
    "mysql+pymysql": ("mysql+pymysql", "pymysql", "mysql"),
    "mariadb+pymysql": ("mysql+pymysql", "pymysql", "mysql"),
    "sqlite": ("sqlite+pysqlite", "sqlite3", ""),
    "sqlite+pysqlite": ("sqlite+pysqlite", "sqlite3", ""),
}

#: File systems whose locks or shared memory do not reach other hosts, or not reliably.
_NETWORK = re.compile(
    r"nfs4?|cifs|smb\w*|afs|ceph|lustre|glusterfs|gpfs|beegfs|fuse\.(sshfs|glusterfs|ceph|s3fs|rclone|gcsfuse)"
)


def sql_url(url: str) -> URL:
    """The SQLAlchemy URL of a store URL, with our driver and, for SQLite, an absolute path.

    :raises ConfigurationError: for an unknown scheme, a driver that is not installed, SQLite in memory.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(f"pyncette_store_url {mask(url)!r} is not a URL") from error
    if parsed.drivername not in _DRIVERS:
        raise ConfigurationError(
            f"pyncette_store_url {mask(url)!r}: {parsed.drivername}:// is not known; SQL stores are "
            "postgresql:// (psycopg 3), mysql:// and mariadb:// (PyMySQL), sqlite:///"
        )
    driver, module, extra = _DRIVERS[parsed.drivername]
    if importlib.util.find_spec(module) is None:
        raise ConfigurationError(f"pyncette_store_url {mask(url)!r} needs: pip install 'celery-pyncette[{extra}]'")
    parsed = parsed.set(drivername=driver)
    if driver.startswith("mysql") and "charset" not in parsed.query:
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    return _absolute(parsed) if driver.startswith("sqlite") else parsed


def _absolute(url: URL) -> URL:
    path = url.database or ""
    if path in ("", ":memory:") or path.startswith("file:"):
        raise ConfigurationError(
            "pyncette_store_url: SQLite needs a file, as in sqlite:////var/lib/app/beat.sqlite3; memory:// keeps none"
        )
    return url.set(database=str(Path(path).absolute()))


def refuse_network_file(path: str, mounts: Path = Path("/proc/mounts")) -> None:
    """:raises StoreRefused: if the file is on a network file system; where that cannot be told, nothing happens."""
    try:
        table = mounts.read_text()
    except OSError:
        return
    kind = _file_system(Path(path).resolve(), table)
    if _NETWORK.fullmatch(kind):
        raise StoreRefused(
            f"{path} is on a network file system ({kind}), where SQLite's locks cannot be relied on and every run may "
            "happen twice; use a local file, or PostgreSQL, MariaDB or Redis"
        )


def _file_system(path: Path, table: str) -> str:
    """The type of the mount that holds a path, by a table in the format of ``/proc/mounts``."""
    best, kind = -1, ""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1])
        if (path == Path(point) or Path(point) in path.parents) and len(point) >= best:
            best, kind = len(point), fields[2]
    return kind

"""Stores: hand out what is ready, replace what nobody changed. ``open_store`` finds the one for a URL.

============================================================  ===========================================
``memory://name``                                             this process alone; the same for the same name
``sqlite:///path``                                            one host
``postgresql://``, ``mysql://``, ``mariadb://``, ``…+driver``  SQLAlchemy URLs
``django://alias``                                            a database of the Django project
``redis://`` and its like                                     see ``redis/address.py``
============================================================  ===========================================

Others come from entry points of the group ``celery_pyncette.stores``: the name is the scheme, the
object is called like a store class: ``(url, namespace, *, timeout, clock)``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Any, Protocol

from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.stores.protocol import Store
from celery_pyncette.stores.urls import mask

__all__ = ["GROUP", "mask", "open_store", "schemes"]

GROUP = "celery_pyncette.stores"

_REDIS = frozenset(
    [
        *("redis", "rediss", "valkey", "valkeys", "unix", "redis+socket", "redis+unix"),
        *("sentinel", "redis-sentinel", "redis+sentinel", "rediss-sentinel", "rediss+sentinel"),
        *("redis+cluster", "rediss+cluster", "valkey+cluster", "valkeys+cluster"),
    ]
)
_SQL = frozenset(["sqlite", "postgresql", "mysql", "mariadb"])
_RELATED = {"postgres": "postgresql", "pgsql": "postgresql", "sqlite3": "sqlite", "redis-cluster": "redis+cluster"}
_EXTRAS = {"redis": "redis", "psycopg": "postgresql", "psycopg2": "postgresql", "pymysql": "mysql", "django": "django"}


#: The memory of this process by the name in the URL.
_spaces: dict[str, Any] = {}


class Factory(Protocol):
    """What makes a store of a URL."""

    def __call__(self, url: str, namespace: str, *, timeout: float, clock: Clock | None = None) -> Store: ...


def open_store(url: str, namespace: str, *, timeout: float, clock: Clock | None = None) -> Store:
    """The store of a URL, bare (without ``guarded``); nothing is connected yet.

    :param timeout: seconds for each connect and each answer.
    :param clock: for stores without a clock of their own (memory, SQLite); this host's if not given.
    :raises ConfigurationError: for an unknown scheme, a URL that cannot be read, a driver that is not installed.
    """
    scheme = _scheme(url)
    factory = _factory(scheme)
    if factory is None:
        raise ConfigurationError(_unknown(scheme, url))
    try:
        return factory()(url, namespace, timeout=timeout, clock=clock)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0].lower())
        if extra is None:
            raise
        raise ConfigurationError(
            f"store URL {mask(url)} needs the module {error.name}: pip install celery-pyncette[{extra}]"
        ) from error


def schemes() -> list[str]:
    """Every scheme that a store URL may have here."""
    return sorted({"memory", "django", *_REDIS, *_SQL, *(point.name for point in entry_points(group=GROUP))})


def _scheme(url: str) -> str:
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", url)
    if found is None:
        raise ConfigurationError(f"store URL {mask(url)!r} has no scheme; for example sqlite:///beat.sqlite3")
    return found[1].lower()


def _factory(scheme: str) -> Callable[[], Factory] | None:
    """What finds the class; None for an unknown scheme."""
    if scheme == "memory":
        return lambda: _memory
    if scheme in _REDIS:
        return _redis
    if scheme == "django":
        return _django
    for point in entry_points(group=GROUP):
        if point.name.lower() == scheme:
            return partial(_loaded, point)
    return _sql if scheme.partition("+")[0] in _SQL else None


def _memory(url: str, namespace: str, *, timeout: float, clock: Clock | None = None) -> Store:
    from celery_pyncette.stores.memory import MemoryStore, Space

    space = _spaces.setdefault(url.partition(":")[2].strip("/"), Space())
    return MemoryStore(namespace, clock=clock, space=space)


def _redis() -> Factory:
    from celery_pyncette.stores.redis.store import RedisStore

    return RedisStore


def _sql() -> Factory:
    from celery_pyncette.stores.sql.store import SqlStore

    return SqlStore


def _django() -> Factory:
    from celery_pyncette.stores.django.store import DjangoStore

    return DjangoStore


def _loaded(point: Any) -> Factory:
    factory: Factory = point.load()
    return factory


def _unknown(scheme: str, url: str) -> str:
    near = _RELATED.get(scheme) or next(iter(difflib.get_close_matches(scheme, schemes(), 1)), None)
    hint = f"did you mean {near}://?" if near else f"known: {', '.join(schemes())}"
    return f"store URL {mask(url)}: unknown scheme {scheme!r}; {hint}"

"""Which store a URL means, and what is said where it means none."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import celery_pyncette.stores as stores
from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.stores import mask, open_store
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Founding
from celery_pyncette.stores.redis.store import RedisStore
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.testing.contract.samples import create, sample


def opened(url: str, namespace: str = "ns") -> object:
    return open_store(url, namespace, timeout=1)


REDIS = [
    "redis://h",
    "REDIS://h:6380/2",
    "rediss://user:pw@h/1?ssl_cert_reqs=CERT_NONE",
    "valkey://h",
    "valkeys://h",
    "unix:///run/redis.sock?db=3",
    "redis+socket:///run/redis.sock?virtual_host=3",
    "sentinel://h1:26379;h2:26379/0?master=m",
    "redis-sentinel://h1,h2/m/0",
    "redis+sentinel://h1#m",
    "redis+cluster://h:7000,h:7001",
    "rediss+cluster://h",
]
SQL = ["postgresql://h/db", "postgresql+psycopg://h/db", "mysql://h/db", "mariadb://h/db", "mysql+pymysql://h/db"]


@pytest.mark.parametrize("url", REDIS)
def test_redis_urls_open_the_redis_store(url: str) -> None:
    assert isinstance(opened(url), RedisStore)


@pytest.mark.parametrize("url", SQL)
def test_sql_urls_open_the_sql_store(url: str) -> None:
    assert isinstance(opened(url), SqlStore)


def test_a_file_opens_the_sql_store(tmp_path: Path) -> None:
    assert isinstance(opened(f"sqlite:///{tmp_path}/x.sqlite3"), SqlStore)


def test_memory_is_shared_by_name_within_the_process() -> None:
    first, same, other = (open_store(url, "ns", timeout=1) for url in ("memory://a", "memory://a", "memory://b"))
    assert isinstance(first, MemoryStore)
    for store in (first, same, other):
        store.prepare(Founding())
    record = sample("d:only-here")
    first.apply([create(record)])
    assert same.fetch([record.key]).records[0] is not None
    assert other.fetch([record.key]).records == (None,)
    first.apply([_deletion(first, record)])


def _deletion(store: object, record: object):
    from celery_pyncette.testing.contract.samples import replace_with

    [stored] = store.fetch([record.key]).records  # type: ignore[attr-defined]
    return replace_with(stored, None)


def test_the_clock_reaches_a_store_that_has_none() -> None:
    clock = FakeClock()
    store = open_store("memory://clock", "ns", timeout=1, clock=clock)
    clock.advance(5)
    assert store.now() == clock.now()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("reddis://h", r"did you mean redis(s)?://"),
        ("postgres://h/db", r"did you mean postgresql://"),
        ("sqlite3:///x", r"did you mean sqlite://"),
        ("redis-cluster://h", r"did you mean redis\+cluster://"),
        ("mongodb://h", r"unknown scheme 'mongodb'; known: .*memory.*sqlite"),
        ("", r"no scheme"),
        ("just words", r"no scheme"),
    ],
)
def test_an_unknown_scheme_names_what_was_meant(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        opened(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h/0?colour=red", "colour"),
        ("redis://h/0?retry_on_timeout=yes", "retry_on_timeout cannot be set here"),
        ("redis://h/0?protocol=3", "protocol cannot be set here"),
        ("redis://h/0?socket_timeout=soon", "socket_timeout"),
        ("redis://h:port/0", "not host:port"),
        ("redis://h/name", "database number"),
        ("sentinel://h1;h2/0", r"\?master="),
        ("redis+cluster://h/3", "only database 0"),
    ],
)
def test_a_redis_url_that_cannot_be_read_says_why(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        opened(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:geheim@h:port/0",
        "redis://:geheim@h/0?colour=red",
        "redis://:ge/geheim@h:1:2/0",
        "redis://:geheim?geheim@h:1:2",
        "sentinel://:geheim@h1;h2/0",
        "sentinel://:x,geheim@h1;h2/0?master=m",
        "sentinel://h1/0?sentinel_password=geheim",
        "nosuch://me:geheim@h",
        "nosuch://h?password=geheim&x=1",
    ],
)
def test_no_message_shows_a_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("password", ["a@b", "a/b", "a:b", "a,b;c", "50%off", "a b", "ü"])
def test_a_password_needs_no_escapes_for_one_server(password: str) -> None:
    from celery_pyncette.stores.redis.address import read_url

    assert read_url(f"redis://me:{password}@h:7/3", 1).options["password"] == password


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("celery_pyncette.stores.redis"):
            monkeypatch.delitem(sys.modules, name)
        if name.partition(".")[0] == "redis":
            monkeypatch.setitem(sys.modules, name, None)  # an import of it fails as if it were not there
    with pytest.raises(ConfigurationError, match=r"pip install celery-pyncette\[redis\]"):
        opened("redis://h")


def test_a_module_missing_from_the_package_itself_is_no_missing_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise ModuleNotFoundError("nowhere", name="celery_pyncette.stores.redis.nowhere")

    monkeypatch.setattr(stores, "_redis", broken)
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        opened("redis://h")


def test_third_parties_bring_schemes_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("shelf", f"{__name__}:Shelf", stores.GROUP)
    monkeypatch.setattr(stores, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    clock = FakeClock()
    store = open_store("shelf://one", "ns", timeout=3, clock=clock)
    assert isinstance(store, Shelf)
    assert store.given == ("shelf://one", "ns", 3, clock)
    with pytest.raises(ConfigurationError, match="did you mean shelf://"):
        opened("shelv://one")


class Shelf:
    def __init__(self, url: str, namespace: str, *, timeout: float, clock: object) -> None:
        self.given = (url, namespace, timeout, clock)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://me@h", "redis://me@h"),
        ("redis://me:pw@h/0", "redis://me:***@h/0"),
        ("redis://:pw@h/0", "redis://:***@h/0"),
        ("redis://:p@w/x@h/0", "redis://:***@h/0"),
        ("redis://:p?w@h/0", "redis://:***@h/0"),
        ("redis://h/0?password=pw&db=1", "redis://h/0?password=***&db=1"),
        ("redis://h/0?sentinel_password=pw#m", "redis://h/0?sentinel_password=***#m"),
        ("redis://h/0?ssl_password=a@b&client_name=c", "redis://h/0?ssl_password=***&client_name=c"),
        ("redis://h/0?client_name=a@b", "redis://h/0?client_name=a@b"),
        ("sentinel://:pw@h1;sentinel://:pw@h2/0", "sentinel://:***@h2/0"),
        ("postgresql://u:pw@h/db?sslmode=require", "postgresql://u:***@h/db?sslmode=require"),
        ("sqlite:////srv/a@b:c/x.sqlite3", "sqlite:////srv/a@b:c/x.sqlite3"),
        ("memory://", "memory://"),
        ("no url at all", "no url at all"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert mask(url) == shown

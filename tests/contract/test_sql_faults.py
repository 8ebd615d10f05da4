"""The SQL stores when their server restarts, hangs, loses answers or says no."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from celery_pyncette.core.errors import SchemaMismatch, StoreRefused, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
from celery_pyncette.stores.protocol import Founding, Query, Store, Verdict
from celery_pyncette.stores.sql.connections import transaction
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.testing.contract.samples import create, replace_with, sample
from celery_pyncette.testing.contract.setting import claim, keys, put, stored, verdicts
from tests.support.own_databases import OwnMariadb, OwnPostgres
from tests.support.own_server import OwnServer
from tests.support.proxy import TcpProxy
from tests.support.wait import wait_until

SERVERS = pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql_url", marks=pytest.mark.store("postgresql")),
        pytest.param("mariadb_url", marks=pytest.mark.store("mariadb")),
    ],
)
KINDS = ("sqlite", "postgresql", "mariadb")
VERBS: dict[str, Callable[[Store], object]] = {
    "prepare": lambda store: store.prepare(Founding()),
    "claim": lambda store: claim(store, 0),
    "apply": lambda store: store.apply([create(sample("d:b"))]),
    "fetch": lambda store: store.fetch([Key("d:a")]),
    "scan": lambda store: store.scan(Query()),
    "now": lambda store: store.now(),
}


@pytest.fixture
def proxied(
    request: pytest.FixtureRequest, url: str, proxy_to: Callable[[str], TcpProxy]
) -> Iterator[tuple[SqlStore, TcpProxy]]:
    real = request.getfixturevalue(url)
    proxy = proxy_to(real)
    store = SqlStore(proxy.through(real), "faults", timeout=1.5)
    store.prepare(Founding())
    put(store, sample("d:a"))
    yield store, proxy
    store.close()


@SERVERS
@pytest.mark.parametrize("verb", VERBS)
def test_a_connection_that_died_in_the_pool_fails_no_call(proxied: tuple[SqlStore, TcpProxy], verb: str) -> None:
    store, proxy = proxied
    assert proxy.connections > 0
    proxy.cut()
    VERBS[verb](store)


@SERVERS
@pytest.mark.parametrize("verb", VERBS)
def test_no_call_waits_for_ever(proxied: tuple[SqlStore, TcpProxy], verb: str) -> None:
    store, proxy = proxied
    proxy.hold()
    start = time.monotonic()
    with pytest.raises(StoreUnavailable):
        VERBS[verb](store)
    assert 1 <= time.monotonic() - start < 6
    proxy.release()
    proxy.cut()
    VERBS[verb](store)


@SERVERS
@pytest.mark.parametrize("verb", VERBS)
def test_an_unreachable_server_is_unavailable_and_named(proxied: tuple[SqlStore, TcpProxy], verb: str) -> None:
    store, proxy = proxied
    proxy.refuse()
    with pytest.raises(StoreUnavailable, match=str(proxy.port)):
        VERBS[verb](store)
    proxy.accept()
    VERBS[verb](store)


@SERVERS
def test_a_write_whose_answer_was_lost_is_known_again(proxied: tuple[SqlStore, TcpProxy]) -> None:
    store, proxy = proxied
    [before] = stored(store, Key("d:a"))
    change = replace_with(before, sample("d:a", 77), creates=(sample("o:d:a@1@g1"),))
    proxy.lose_answer(matching=b"COMMIT")
    with pytest.raises(StoreUnavailable):
        store.apply([change])
    assert proxy.lost == 1
    assert verdicts(store.apply([change])) == [Verdict.APPLIED]
    assert [r.version for r in stored(store, Key("d:a"), Key("o:d:a@1@g1"))] == [2, 1]


@pytest.mark.store("postgresql")
@pytest.mark.parametrize("level", ["repeatable%5C%20read", "serializable"])
def test_a_record_that_another_makes_at_the_same_time_is_there_in_every_isolation_level(
    postgresql_url: str, level: str
) -> None:
    """A database or role may have another level by default; there the insert that waited is told of the race."""
    url = f"{postgresql_url}?options=-c%20default_transaction_isolation%3D{level}"
    with closing(SqlStore(url, "levels")) as store, closing(SqlStore(url, "levels")) as other:
        store.prepare(Founding())
        change = create(sample("d:new"))
        with ThreadPoolExecutor(1) as thread:
            with other._connected() as connection, transaction(connection):
                other._apply(connection, [replace(change, write_id="another's")], Instant(0))
                asked = thread.submit(store.apply, [change])
                wait_until(lambda: _waits_for_a_lock(connection), message="the insert does not wait for the other one")
            assert verdicts(asked.result(10)) == [Verdict.EXISTS]


def _waits_for_a_lock(connection: Connection) -> bool:
    mine = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    return bool(connection.exec_driver_sql(mine).scalar())


@pytest.mark.faults
@pytest.mark.parametrize(
    "server",
    [
        pytest.param("own_postgres", marks=pytest.mark.store("postgresql")),
        pytest.param("own_mariadb", marks=pytest.mark.store("mariadb")),
    ],
)
def test_nothing_is_lost_when_the_server_is_killed_and_comes_back(request: pytest.FixtureRequest, server: str) -> None:
    own: OwnServer = request.getfixturevalue(server)
    assert isinstance(own, (OwnPostgres, OwnMariadb))
    with closing(SqlStore(own.url, "faults", timeout=2)) as store:
        store.prepare(Founding())
        put(store, sample("d:a"))
        own.kill()
        for verb in VERBS.values():
            with pytest.raises(StoreUnavailable):
                verb(store)
        own.start()
        assert keys(claim(store, 0).records) == ["d:a"]


# --- no ------------------------------------------------------------------------------------------------------------


@pytest.mark.store("postgresql")
def test_postgresql_says_no(postgresql_url: str) -> None:
    with closing(SqlStore(postgresql_url, "refused")) as store:
        store.prepare(Founding())
        put(store, sample("d:a"))
    base, _, name = postgresql_url.rpartition("/")
    for wrong in (f"{base}/no_such_{os.getpid()}", f"{base.replace('postgres@', 'nobody-here:geheim@')}/{name}"):
        with closing(SqlStore(wrong, "refused")) as store, pytest.raises(StoreRefused, match="does not exist") as error:
            store.prepare(None)
        assert "geheim" not in str(error.value)
    read_only = f"{postgresql_url}?options=-c%20default_transaction_read_only%3Don"
    with closing(SqlStore(read_only, "refused")) as store:
        store.prepare(None)
        for verb in ("claim", "apply"):
            with pytest.raises(StoreRefused, match="read-only"):
                VERBS[verb](store)
        assert keys(store.fetch([Key("d:a")]).records) == ["d:a"]


@pytest.mark.store("mariadb")
def test_mariadb_says_no(mariadb_url: str) -> None:
    base, _, name = mariadb_url.rpartition("/")
    for wrong in (f"{base}/no_such_{os.getpid()}", f"{base.replace('root@', 'nobody-here:geheim@')}/{name}"):
        with closing(SqlStore(wrong, "refused")) as store, pytest.raises(StoreRefused) as error:
            store.prepare(None)
        assert "geheim" not in str(error.value)


@pytest.mark.store("sqlite")
def test_sqlite_says_no(tmp_path: Path) -> None:
    with closing(SqlStore(f"sqlite:///{tmp_path}/missing/beat.sqlite3", "n")) as store, pytest.raises(StoreRefused):
        store.prepare(Founding())
    (tmp_path / "text").write_text("this is no database, but long enough to look like one" * 100)
    with closing(SqlStore(f"sqlite:///{tmp_path}/text", "n")) as store, pytest.raises(StoreRefused, match="database"):
        store.prepare(Founding())


@pytest.mark.store("sqlite")
def test_a_writer_that_does_not_end_makes_sqlite_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "beat.sqlite3"
    with closing(SqlStore(f"sqlite:///{path}", "n", timeout=0.2)) as store:
        store.prepare(Founding())
        put(store, sample("d:a"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for verb in ("claim", "apply"):
                with pytest.raises(StoreUnavailable, match="locked"):
                    VERBS[verb](store)
            assert keys(stored(store, Key("d:a"))) == ["d:a"]
            other.execute("ROLLBACK")
        assert keys(claim(store, 0).records) == ["d:a"]


# --- the schema ----------------------------------------------------------------------------------------------------


def test_a_schema_of_another_release_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "beat.sqlite3"
    with closing(SqlStore(f"sqlite:///{path}", "n")) as store:
        with pytest.raises(SchemaMismatch, match="store upgrade"):
            store.prepare(None)
        store.prepare(Founding())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("INSERT INTO pyncette_schema VALUES (99)")
        for founding in (Founding(), None):
            with pytest.raises(SchemaMismatch, match="schema 99 is newer"):
                store.prepare(founding)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.store(kind)) for kind in KINDS])
def test_a_table_that_went_is_a_schema_mismatch(kind: str, request: pytest.FixtureRequest) -> None:
    with closing(SqlStore(request.getfixturevalue(f"{kind}_url"), "n")) as store:
        store.prepare(Founding())
        with store._connected() as connection:
            connection.exec_driver_sql("DROP TABLE pyncette_records")
        for verb in ("claim", "apply", "fetch", "scan"):
            with pytest.raises(SchemaMismatch):
                VERBS[verb](store)


def test_a_broken_off_step_is_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "beat.sqlite3"
    with closing(SqlStore(f"sqlite:///{path}", "n")) as store:
        store.prepare(Founding())
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("DELETE FROM pyncette_schema")
            other.execute("DROP INDEX pyncette_records_names")
        store.prepare(Founding())
        with closing(sqlite3.connect(path)) as other:
            names = {row[0] for row in other.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        assert {"pyncette_records_names", "pyncette_records_ready"} <= names


@SERVERS
def test_a_new_record_that_waited_for_too_long_is_not_written_later(url: str, request: pytest.FixtureRequest) -> None:
    """Somebody's transaction has the key, and goes on for longer than the caller waits; then it is rolled back."""
    place = request.getfixturevalue(url)
    store, other = SqlStore(place, "patience", timeout=2), SqlStore(place, "patience", timeout=30)
    store.prepare(Founding())
    other.prepare(None)
    with other._connected() as connection, contextlib.suppress(ZeroDivisionError), transaction(connection):
        other._apply(connection, [create(sample("d:new"))], Instant(0))
        with pytest.raises(StoreUnavailable):
            store.apply([create(sample("d:new"))])
        raise ZeroDivisionError
    assert verdicts(store.apply([create(sample("d:new"))])) == [Verdict.APPLIED]
    store.close()
    other.close()


@SERVERS
def test_no_argument_of_a_task_is_in_the_traceback_of_an_error(url: str, request: pytest.FixtureRequest) -> None:
    """Frameworks log what nobody catches, with every error that led to it."""
    with closing(SqlStore(request.getfixturevalue(url), "secrets")) as store:
        store.prepare(Founding())
        with store._connected() as connection:
            connection.exec_driver_sql("DROP TABLE pyncette_records")
        secret = sample("d:a", kwargs={"password": "geheim"}, body=b"geheim")
        with pytest.raises(SchemaMismatch) as caught:
            store.apply([create(secret)])
        assert "geheim" not in "".join(traceback.format_exception(caught.value))

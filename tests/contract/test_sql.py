from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from celery_pyncette.core.records import Key
from celery_pyncette.stores.protocol import Founding, Verdict
from celery_pyncette.stores.sql.address import sql_url
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.testing import StoreContract
from celery_pyncette.testing.contract.samples import create, sample
from tests.servers.catalogue import find
from tests.support import databases

KINDS = ("sqlite", "postgresql", "mariadb")


class SqlContract(StoreContract):
    url: str

    def make_store(self, namespace: str) -> SqlStore:
        return SqlStore(self.url, namespace)

    def spoil(self, store: SqlStore, key: Key) -> None:
        quoted = "`key`" if self.url.startswith("m") else '"key"'
        engine = create_engine(sql_url(self.url))
        with engine.begin() as connection:
            spoilt = text(f"UPDATE pyncette_records SET document = '{{' WHERE namespace = :ns AND {quoted} = :key")
            assert connection.execute(spoilt, {"ns": store.namespace, "key": key}).rowcount == 1
        engine.dispose()


@pytest.mark.store("sqlite")
class TestSqlite(SqlContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path}/store.sqlite3"


@pytest.fixture(scope="module")
def postgresql_place() -> Iterator[str]:
    """One database for all tests of this module: each has a namespace of its own."""
    with databases.postgresql_database(str(find("postgresql").url)) as url:
        yield url


@pytest.fixture(scope="module")
def mariadb_place() -> Iterator[str]:
    with databases.mariadb_database(str(find("mariadb").url)) as url:
        yield url


@pytest.mark.store("postgresql")
class TestPostgresql(SqlContract):
    @pytest.fixture(autouse=True)
    def _database(self, postgresql_place: str) -> None:
        self.url = postgresql_place


@pytest.mark.store("mariadb")
class TestMariadb(SqlContract):
    @pytest.fixture(autouse=True)
    def _database(self, mariadb_place: str) -> None:
        self.url = mariadb_place


def statements_of(store: SqlStore, act: Callable[[], object]) -> list[str]:
    """What the database is asked meanwhile."""
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    act()
    event.remove(store._engine, "before_cursor_execute", note)
    return asked


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.store(kind)) for kind in KINDS])
def test_a_new_record_is_one_write_and_needs_no_transaction(kind: str, request: pytest.FixtureRequest) -> None:
    """Most calls of clients make one record. If something is there already, all is asked as for any other change."""
    store = SqlStore(request.getfixturevalue(f"{kind}_url"), "new")
    store.prepare(Founding())
    change = create(sample("d:x", 0))
    asked = statements_of(store, lambda: store.apply([change]))
    (written,) = [one for one in asked if not one.startswith("SELECT")]
    assert "INSERT INTO pyncette_records" in written
    (again,) = store.apply([change]).written
    (other,) = store.apply([replace(change, write_id="another")]).written
    assert (again.verdict, again.version, other.verdict) == (Verdict.APPLIED, 1, Verdict.EXISTS)
    store.close()

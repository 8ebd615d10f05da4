from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from celery_pyncette.core.records import Key
from celery_pyncette.stores.sql.address import sql_url
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.testing import StoreContract
from tests.servers.catalogue import find
from tests.support import databases


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

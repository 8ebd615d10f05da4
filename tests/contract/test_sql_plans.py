"""What the hot statements cost in the database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key, Lane, Origin
from celery_pyncette.stores.protocol import ClaimRequest, Founding, Query
from celery_pyncette.stores.sql.address import sql_url
from celery_pyncette.stores.sql.claims import PostgresqlClaims
from celery_pyncette.stores.sql.scanning import page_of
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.testing.contract.samples import create, sample
from celery_pyncette.testing.contract.setting import claim, put
from tests.servers.catalogue import find
from tests.support import databases

ROWS = 100_000
pytestmark = pytest.mark.store("postgresql")

MULTIPLY = f"""
INSERT INTO pyncette_records
SELECT namespace, 'd:' || n, lane, part, ready_at + n * 1000, generation, version, token, write_id, lease_owner,
       lease_until, origin, task, 'name-' || n, paused, running, dead, document, body
FROM pyncette_records, generate_series(1, {ROWS}) AS n WHERE key = 'd:first'
"""


@pytest.fixture(scope="module")
def filled() -> Iterator[SqlStore]:
    """100,000 records, the first of which is due in a day."""
    with databases.postgresql_database(str(find("postgresql").url)) as url:
        store = SqlStore(url, "plans")
        store.prepare(Founding())
        put(store, sample("d:first", store.now() + 86_400_000))
        engine = create_engine(sql_url(url), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(MULTIPLY))
            connection.execute(text("VACUUM ANALYZE pyncette_records"))
        engine.dispose()
        yield store
        store.close()


def explained(store: SqlStore, statement: Any, arguments: dict[str, Any]) -> tuple[int, str]:
    """Buffers that the statement touched, and its plan as text; what it wrote is undone."""
    with store._connected() as connection:
        connection.exec_driver_sql("BEGIN")
        plan = connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"), arguments).scalar_one()
        connection.exec_driver_sql("ROLLBACK")
    plan = json.loads(plan) if isinstance(plan, str) else plan
    top = plan[0]["Plan"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"], json.dumps(plan)


def claim_arguments(seen: int) -> dict[str, Any]:
    return {
        "namespace": "plans",
        "lane": 0,
        "seen": seen,
        "limit": 100,
        "owner": "beat",
        "lease_ms": 10_000,
        "meta": "m:meta",
        "partitions": [0],
    }


@pytest.mark.parametrize("statement", [PostgresqlClaims.everything, PostgresqlClaims.some], ids=["all", "some"])
def test_an_idle_claim_reads_an_index_condition_and_few_buffers(filled: SqlStore, statement: Any) -> None:
    buffers, plan = explained(filled, statement, claim_arguments(0))
    conditions = [part for part in plan.split('"Index Cond": ')[1:] if "ready_at <=" in part.split('", "')[0]]
    assert conditions, plan
    assert "Seq Scan" not in plan
    assert buffers < 20


def test_a_claimed_batch_costs_by_its_size_alone(filled: SqlStore) -> None:
    buffers, plan = explained(filled, PostgresqlClaims.everything, claim_arguments(NEVER - 1_000_000))
    assert "Seq Scan" not in plan
    assert buffers < 100 * 30


def test_a_name_is_found_by_its_index(filled: SqlStore) -> None:
    query = Query(name_prefix="name-77777", origin=Origin.DYNAMIC)
    dialect = postgresql.dialect()
    page = page_of("plans", query, None).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    buffers, plan = explained(filled, page, {})
    assert "pyncette_records_names" in plan
    assert buffers < 20


def test_a_key_prefix_is_found_by_the_primary_key(filled: SqlStore) -> None:
    page = page_of("plans", Query(prefix="d:5"), None).compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )
    buffers, plan = explained(filled, page, {})
    assert "pyncette_records_pkey" in plan
    assert buffers < 250


def test_a_claim_is_one_round_trip(filled: SqlStore, proxy_to: Any) -> None:
    url = str(filled._engine.url.render_as_string(hide_password=False)).replace("+psycopg", "")
    with proxy_to(url) as proxy:
        store = SqlStore(proxy.through(url), "plans")
        store.now()
        before = proxy.requests
        store.claim(ClaimRequest(owner="b", lane=Lane.ENTRIES, limit=100, lease_ms=1, seen=Instant(0)))
        assert proxy.requests == before + 1
        store.close()


def test_nothing_outlives_a_transaction_in_the_session(postgresql_url: str) -> None:
    """A pooler in transaction mode may give each transaction another session."""
    store = SqlStore(postgresql_url, "session")
    store.prepare(Founding())
    for n in range(12):
        store.apply([create(sample(f"d:{n}"))])
        claim(store, 0)
        store.fetch([Key("d:1")])
        store.scan(Query())
    with psycopg.connect(postgresql_url) as other:
        before = other.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
    assert before == (0,)
    with store._connected() as connection:
        state = connection.exec_driver_sql(
            "SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('statement_timeout'),"
            " current_setting('lock_timeout')"
        ).one()
    assert tuple(state) == (0, "0", "0")
    store.close()


def test_text_is_compared_by_its_bytes_whatever_the_locale_of_the_database(filled: SqlStore) -> None:
    with filled._connected() as connection:
        found = connection.exec_driver_sql(
            "SELECT column_name, collation_name FROM information_schema.columns"
            " WHERE table_name = 'pyncette_records' AND collation_name IS NOT NULL"
        ).all()
    assert {"namespace", "key", "name", "task", "lease_owner"} <= {row[0] for row in found}
    assert {row[1] for row in found} == {"C"}

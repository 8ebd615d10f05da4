"""Millions of parked messages in PostgreSQL: does a claim take longer, how fast are they parked, what do they take?

``python -m tests.benchmarks.delay_many fill URL COUNT`` fills a database of its own that you made, so that it holds
``COUNT`` parked messages for tomorrow: the first 100,000 through the store, all others as copies of those in SQL, each
with a key and a time of its own; the indexes are built anew after that. ``… measure URL ...`` then parks 2,000 with
``send_task``, claims 5,000 that are due in batches of 100, takes them out as a beat does, and writes a Markdown table
with a column for each database.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import sqlalchemy as sa
from celery import Celery

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Lane, Record
from celery_pyncette.engine.parking import PREFIX, Waiting, pack, record_of, unpack
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Change, ClaimRequest, Expected, Founding, Query, Store, Verdict
from celery_pyncette.stores.sql.address import sql_url
from celery_pyncette.stores.sql.tables import records
from tests.benchmarks.delay_size import app_of

DAY = 86_400_000
DELAYED = records.c.lane == int(Lane.DELAYED)
#: So many go through the store.
FIRST = 100_000
PRIMARY_KEY = "CONSTRAINT pyncette_records_pkey PRIMARY KEY (namespace, key)"
WITHOUT_INDEXES = (
    "ALTER TABLE pyncette_records DROP CONSTRAINT IF EXISTS pyncette_records_pkey",
    "DROP INDEX IF EXISTS pyncette_records_ready, pyncette_records_names",
)
SENT, DUE, BATCH, APPLIED = 2_000, 5_000, 100, 50


def parked(app: Celery, store: Store, count: int, due: Callable[[int], int]) -> Iterator[Record]:
    """Records as the interceptor makes them: one that it made, with other ids and arguments."""
    app.send_task("proj.tasks.send_welcome_mail", args=("alice@example.com",), countdown=86_400)
    page = store.scan(Query(prefix=PREFIX, limit=1))
    model = unpack(page.records[0].body or b"")
    for number in range(count):
        task_id = str(uuid.uuid4())
        name = f"user{number}@example.com"
        message = replace(
            model,
            body=model.body.replace(b"alice@example.com", name.encode()),
            headers={**model.headers, "id": task_id, "root_id": task_id, "argsrepr": f"('{name}',)"},
            sending={**model.sending, "correlation_id": task_id},
        )
        yield record_of(message, pack(message), Waiting(due_at=Instant(due(number))), page.now, new_id()[:8])


def put(store: Store, wanted: Iterator[Record]) -> None:
    chunk: list[Change] = []
    for record in wanted:
        chunk.append(Change(key=record.key, expect=None, record=record, write_id=new_id()))
        if len(chunk) == 500:
            store.apply(chunk)
            chunk = []
    if chunk:
        store.apply(chunk)


def fill(url: str, count: int) -> None:
    app, store = app_of(url, "memory://", True), open_store(url, "proj", timeout=600)
    store.prepare(Founding(fingerprint="benchmark"))
    engine = sa.create_engine(sql_url(url))
    with engine.connect() as connection:
        have = connection.scalar(sa.select(sa.func.count()).where(DELAYED)) or 0
        if have < FIRST:
            tomorrow = store.now() + DAY
            put(store, parked(app, store, min(count, FIRST) - have, lambda number: tomorrow + number * 800))
            have = min(count, FIRST)
        if have < count:
            copy(connection, have, count)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE pyncette_records"))
    engine.dispose()
    store.close()
    app.close()


def copy(connection: sa.Connection, have: int, count: int) -> None:
    """Up to ``count`` by copies of those that are there."""
    for statement in WITHOUT_INDEXES:
        connection.execute(sa.text(statement))
    moved = sa.literal_column("ready_at + 1 + (random() * 86400000)::bigint").label("moved")
    while have < count:
        more = min(have, count - have, 1_000_000)
        source = sa.select(records, moved).where(DELAYED).limit(more).subquery()
        document = sa.func.replace(
            source.c.document, sa.cast(source.c.ready_at, sa.Text), sa.cast(source.c.moved, sa.Text)
        )
        own = {
            "key": sa.literal_column("'e:' || gen_random_uuid() || ':0'"),
            "ready_at": source.c.moved,
            "document": document,
        }
        columns = [own.get(column.name, source.c[column.name]) for column in records.c]
        connection.execute(records.insert().from_select([c.name for c in records.c], sa.select(*columns)))
        connection.commit()
        have += more
        sys.stderr.write(f"{have:,}\n")
    connection.execute(sa.text("SET maintenance_work_mem = '1GB'"))
    connection.execute(sa.text(f"ALTER TABLE pyncette_records ADD {PRIMARY_KEY}"))
    for index in records.indexes:
        connection.execute(sa.schema.CreateIndex(index))
    connection.commit()


def measure(url: str) -> dict[str, str]:
    app, store = app_of(url, "memory://", True), open_store(url, "proj", timeout=60)
    store.prepare(None)
    engine = sa.create_engine(sql_url(url))
    with engine.connect() as connection:
        sizes = "SELECT count(*), pg_table_size('pyncette_records'), pg_indexes_size('pyncette_records')"
        count, table, indexes = connection.execute(sa.text(f"{sizes} FROM pyncette_records")).one()
    engine.dispose()
    started = time.perf_counter()
    for number in range(SENT):
        app.send_task("proj.tasks.send_welcome_mail", args=(f"new{number}@example.com",), countdown=86_400)
    rate = SENT / (time.perf_counter() - started)
    nothing = [timed(lambda: claim(store)) for _ in range(200)]
    now = store.now()
    put(store, parked(app, store, DUE, lambda number: now - DUE + number))
    claims, settles = [], []
    for _ in range(DUE // BATCH):
        began = time.perf_counter()
        claimed = claim(store)
        claims.append((time.perf_counter() - began) * 1000)
        assert len(claimed) == BATCH
        chunks = [claimed[start : start + APPLIED] for start in range(0, BATCH, APPLIED)]
        settles += [timed(lambda chunk=chunk: take_out(store, chunk)) for chunk in chunks]
    store.close()
    app.close()
    return {
        "parked messages": f"{count:,}",
        "`send_task` per second, one process": f"{rate:,.0f}",
        "claim with nothing due, median": f"{statistics.median(nothing):.1f} ms",
        "claim of 100 that are due, median": f"{statistics.median(claims):.1f} ms",
        "the same, 90th percentile": f"{statistics.quantiles(claims, n=10)[-1]:.1f} ms",
        "50 taken out, median": f"{statistics.median(settles):.1f} ms",
        "table, bytes each": f"{table / count:,.0f}",
        "indexes, bytes each": f"{indexes / count:,.0f}",
        "together": f"{(table + indexes) / 1e9:.2f} GB",
    }


def claim(store: Store) -> tuple[Record, ...]:
    return store.claim(ClaimRequest(owner="benchmark", lane=Lane.DELAYED, limit=BATCH, lease_ms=60_000)).records


def take_out(store: Store, claimed: tuple[Record, ...]) -> None:
    changes = [
        Change(key=one.key, expect=Expected(one.generation, one.version), record=None, write_id=new_id())
        for one in claimed
    ]
    assert {answer.verdict for answer in store.apply(changes).written} == {Verdict.APPLIED}


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fill", "measure"])
    parser.add_argument("url")
    parser.add_argument("more", nargs="*", help="fill: how many; measure: more databases")
    options = parser.parse_args()
    if options.what == "fill":
        fill(options.url, int(options.more[0]))
        return
    columns = [measure(url) for url in (options.url, *options.more)]
    for number, name in enumerate(columns[0]):
        sys.stdout.write(f"| {name} | {' | '.join(column[name] for column in columns)} |\n")
        if number == 0:
            sys.stdout.write(f"|---|{'--:|' * len(columns)}\n")


if __name__ == "__main__":
    main()

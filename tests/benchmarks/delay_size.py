"""What a parked message takes in each store: ``python -m tests.benchmarks.delay_size``, a Markdown table.

Beside it stands what the same message takes as it waits in a list of Redis under its ETA.
"""

from __future__ import annotations

import argparse
import random
import string
import sys
from collections.abc import Callable
from typing import Any

from celery import Celery

from celery_pyncette.client.desk import Desk, seat
from celery_pyncette.delay import interceptor
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Founding
from tests.servers.catalogue import find
from tests.support import databases
from tests.support.own_redis import OwnRedis

SIZES = (10, 400, 1_000, 10_000)


def app_of(store_url: str, broker_url: str, parks: bool) -> Celery:
    app = Celery("proj", broker=broker_url, set_as_current=False)
    app.conf.update(pyncette_store_url=store_url, pyncette_delay_queue=parks, task_default_queue="mail")
    interceptor.install(app)
    store = open_store(store_url, "proj", timeout=30)
    store.prepare(Founding(fingerprint="benchmark"))
    seat(Desk(app, store))
    return app


def send(app: Celery, count: int, size: int) -> None:
    """Different arguments for each, as those of different users are."""
    chance = random.Random(size)
    letters = string.ascii_letters + string.digits
    for _ in range(count):
        text = "".join(chance.choices(letters, k=size))
        app.send_task("proj.tasks.send_welcome_mail", args=(text,), countdown=86_400)


def in_redis(count: int, size: int, parks: bool) -> float:
    """Memory of the server per message, indexes and its own bookkeeping included."""
    import redis

    with OwnRedis() as server:
        base = server.url.rsplit("/", 1)[0]
        app = app_of(f"{base}/1", f"{base}/0", parks)
        with redis.Redis(port=server.port) as client:
            send(app, 200, size)
            before = client.info("memory")["used_memory"]
            send(app, count, size)
            after = client.info("memory")["used_memory"]
        app.close()
    return float(after - before) / count


def in_postgresql(count: int, size: int) -> tuple[float, float]:
    """Table with its overflow, and indexes, per message."""
    import sqlalchemy as sa

    from celery_pyncette.stores.sql.address import sql_url

    url = find("postgresql").url
    assert url is not None, "no PostgreSQL"
    with databases.postgresql_database(url) as fresh:
        app = app_of(fresh, "memory://", True)
        engine = sa.create_engine(sql_url(fresh))

        def measured() -> tuple[int, int]:
            with engine.connect() as connection:
                row = connection.execute(
                    sa.text("SELECT pg_table_size('pyncette_records'), pg_indexes_size('pyncette_records')")
                ).one()
                return int(row[0]), int(row[1])

        send(app, 200, size)
        before = measured()
        send(app, count, size)
        after = measured()
        engine.dispose()
        app.close()
    return (after[0] - before[0]) / count, (after[1] - before[1]) / count


def finished(size: int) -> int:
    """Bytes of the finished message: its headers and properties as JSON, and its body."""
    import json

    app = Celery("proj", broker="memory://size", set_as_current=False)
    app.conf.task_default_queue = "mail"
    send(app, 1, size)
    with app.connection_for_read() as connection:
        message = connection.default_channel._get("mail")
    import base64

    body = base64.b64decode(message["body"])
    rest = {name: value for name, value in message.items() if name != "body"}
    return len(body) + len(json.dumps(rest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--without-postgresql", action="store_true")
    options = parser.parse_args()
    write: Callable[[str], Any] = sys.stdout.write
    write(
        "| argument | finished message | waiting in Redis as Celery sends it | parked in Redis | more than the message "
    )
    write("| parked in PostgreSQL, table | more than the message | its indexes |\n")
    write("|--:|--:|--:|--:|--:|--:|--:|--:|\n")
    for size in SIZES:
        message = finished(size)
        native, ours = in_redis(options.count, size, False), in_redis(options.count, size, True)
        table, indexes = (0.0, 0.0) if options.without_postgresql else in_postgresql(options.count, size)
        write(
            f"| {size:,} | {message:,} | {native:,.0f} | {ours:,.0f} | {ours - message:+,.0f} | {table:,.0f} "
            f"| {table - message:+,.0f} | {indexes:,.0f} |\n"
        )


if __name__ == "__main__":
    main()

"""What a parked message takes in each store: ``python -m tests.benchmarks.delay_size``, a Markdown table.

Beside it stands what the same message takes as it waits in a list of Redis under its ETA. The arguments are an order
with its lines, random letters and digits, and random bytes in a pickle, which nothing can make smaller.
"""

from __future__ import annotations

import argparse
import base64
import json
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


def order(chance: random.Random, size: int) -> Any:
    """JSON as a shop sends it, of about this size."""
    number = chance.randrange(10**9)
    lines = [
        {
            "sku": f"SKU-{chance.randrange(10**6):06}",
            "quantity": chance.randrange(1, 9),
            "price": f"{chance.randrange(1, 200)}.{chance.randrange(100):02}",
            "note": chance.choice(["", "gift", "leave it at the door"]),
        }
        for _ in range(size // 80)
    ]
    return {"order": number, "lines": lines} if lines else number


def letters(chance: random.Random, size: int) -> Any:
    return "".join(chance.choices(string.ascii_letters + string.digits, k=size))


#: What is sent: how an argument of so many bytes is made, and with which serialiser.
KINDS: dict[str, tuple[Callable[[random.Random, int], Any], str]] = {
    "an order": (order, "json"),
    "letters": (letters, "json"),
    "bytes": (random.Random.randbytes, "pickle"),
}


def send(app: Celery, count: int, kind: str, size: int) -> None:
    """Different arguments for each, as those of different users are."""
    chance = random.Random(size)
    make, serializer = KINDS[kind]
    for _ in range(count):
        args = (make(chance, size),)
        app.send_task("proj.tasks.send_welcome_mail", args=args, countdown=86_400, serializer=serializer)


def in_redis(count: int, kind: str, size: int, parks: bool) -> float:
    """Memory of the server per message, indexes and its own bookkeeping included."""
    import redis

    with OwnRedis() as server:
        base = server.url.rsplit("/", 1)[0]
        app = app_of(f"{base}/1", f"{base}/0", parks)
        with redis.Redis(port=server.port) as client:
            send(app, 200, kind, size)
            before = client.info("memory")["used_memory"]
            send(app, count, kind, size)
            after = client.info("memory")["used_memory"]
        app.close()
    return float(after - before) / count


def in_postgresql(count: int, kind: str, size: int) -> tuple[float, float]:
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

        send(app, 200, kind, size)
        before = measured()
        send(app, count, kind, size)
        after = measured()
        engine.dispose()
        app.close()
    return (after[0] - before[0]) / count, (after[1] - before[1]) / count


def finished(kind: str, size: int) -> int:
    """Bytes of the finished message: its headers and properties as JSON, and its body."""
    app = Celery("proj", broker="memory://size", set_as_current=False)
    app.conf.task_default_queue = "mail"
    send(app, 1, kind, size)
    with app.connection_for_read() as connection:
        message = connection.default_channel._get("mail")
    body = base64.b64decode(message["body"])
    rest = {name: value for name, value in message.items() if name != "body"}
    return len(body) + len(json.dumps(rest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--without-postgresql", action="store_true")
    options = parser.parse_args()
    write: Callable[[str], Any] = sys.stdout.write
    heads = ("argument", "bytes", "finished message", "waiting in Redis as Celery sends it", "parked in Redis", "more")
    heads += ("parked in PostgreSQL, table", "more", "its indexes")
    write(f"| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}\n")
    for kind in KINDS:
        for size in SIZES:
            message = finished(kind, size)
            native, ours = (in_redis(options.count, kind, size, parks) for parks in (False, True))
            table, indexes = (0.0, 0.0) if options.without_postgresql else in_postgresql(options.count, kind, size)
            figures = (f"{size:,}", f"{message:,}", f"{native:,.0f}", f"{ours:,.0f}", f"{ours - message:+,.0f}")
            figures += (f"{table:,.0f}", f"{table - message:+,.0f}", f"{indexes:,.0f}")
            write(f"| {kind} | {' | '.join(figures)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

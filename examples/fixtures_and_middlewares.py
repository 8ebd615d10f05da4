"""What tasks share, set up once per process; and what happens around each of them, written once.

    cd examples
    celery -A fixtures_and_middlewares beat -S celery_pyncette.Scheduler
    celery -A fixtures_and_middlewares worker -c 2

Every two seconds something is sold, and something that is sold out is asked for. Stop either with Ctrl-C, and see what
it opened being closed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from celery import Celery
from sqlalchemy import Connection, Engine, create_engine, text

from celery_pyncette import Pyncette, current_fixtures
from celery_pyncette.fixtures import Injected
from celery_pyncette.middleware import Dispatch, TaskRun, skip_if

app = Celery("shop", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.pyncette_store_url = os.environ.get("STORE_URL", "redis://127.0.0.1:6379/1")
app.conf.beat_schedule = {
    "sell": {"task": "shop.sell", "schedule": 2.0, "args": ["tea"]},
    "sell-out": {"task": "shop.sell", "schedule": 2.0, "args": ["coffee"]},
    "feed": {"task": "shop.feed", "schedule": 2.0},
}
pyncette = Pyncette(app)


# One engine for each process that runs tasks: none is inherited by a fork. If the database is away when the process
# starts, wait for it a little; after that the worker stops, with an error that says why.
@pyncette.fixture(retry_for=2)
def database() -> Iterator[Engine]:
    engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS sales (item TEXT NOT NULL, at REAL NOT NULL)"))
    print(f"database: opened by {os.getpid()}")
    yield engine
    engine.dispose()
    print(f"database: closed by {os.getpid()}")


# A fixture that uses another one, by the name of its parameter: what is in stock, looked up once per process.
@pyncette.fixture
def stock(database: Engine) -> Iterator[dict[str, int]]:
    with database.connect() as connection:
        sold = connection.scalar(text("SELECT count(*) FROM sales"))
    yield {"tea": 1_000_000 - (sold or 0), "coffee": 0}


# The beats have fixtures of their own.
@pyncette.fixture(process="beat")
def name() -> Iterator[str]:
    print("beat: good morning")
    yield f"beat {os.getpid()}"
    print("beat: good night")


# Around each message that a beat sends.
@pyncette.dispatch_middleware
def signed(dispatch: Dispatch) -> Iterator[None]:
    dispatch.headers["sent_by"] = current_fixtures().name
    yield


# Around each run of a task that a beat has sent. The first one that is defined is the outermost.
@pyncette.middleware(scheduled=True)
def timed(run: TaskRun) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except LookupError as error:
        print(f"{run.entry}: failed: {error}")
        raise
    print(f"{run.entry}: took {time.monotonic() - began:.3f} s, sent by {run.request.sent_by}")


pyncette.middleware(skip_if(lambda run: os.environ.get("HOLIDAY") == "yes", "the shop is closed"), tasks="shop.feed")


# Callers say sell.delay("tea"): the other two are not theirs to pass.
@app.task(name="shop.sell")
def sell(item: str, database: Injected[Engine], stock: Injected[dict[str, int]]) -> None:
    if not stock[item]:
        raise LookupError(f"{item} is sold out")
    with database.begin() as connection:
        print(f"sold {item}, no. {_sell(item, connection)}")


def _sell(item: str, connection: Connection) -> int:
    connection.execute(text("INSERT INTO sales VALUES (:item, :at)"), {"item": item, "at": time.time()})
    return int(connection.scalar(text("SELECT count(*) FROM sales")) or 0)


@app.task(name="shop.feed")
def feed() -> None:
    print("the cat is fed")

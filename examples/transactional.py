"""A reminder scheduled together with an order: both are there when the transaction commits, neither if it rolls back.

    python examples/transactional.py

A real beat and a real worker, no server: orders and entries are in one SQLite file, messages in a directory. It takes
about ten seconds. Exit status 0 if each order that was kept was reminded of once, and no other one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from celery import Celery
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from celery_pyncette import Pyncette, get_task, schedule_task
from celery_pyncette.core.errors import SchemaMismatch

# The beat and the worker, which import this module, get to know the directory by their environment.
DIRECTORY = Path(os.environ.get("TRANSACTIONAL") or tempfile.mkdtemp(prefix="pyncette-transactional-"))
os.environ["TRANSACTIONAL"] = str(DIRECTORY)
DATABASE = f"sqlite:///{DIRECTORY}/shop.sqlite3"
QUEUE, DONE = DIRECTORY / "queue", DIRECTORY / "reminded"
QUEUE.mkdir(exist_ok=True)

app = Celery("transactional", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(QUEUE),
        "data_folder_out": str(QUEUE),
        "control_folder": str(DIRECTORY / "control"),
        "polling_interval": 0.1,
    },
    pyncette_store_url=DATABASE,
    pyncette_poll_interval=0.2,
)
Pyncette(app)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)


@app.task(name="shop.remind")
def remind(order: int) -> None:
    with DONE.open("a") as done:
        done.write(f"{order}\n")


def place(session: Session, number: int) -> None:
    """The order and its reminder, in whatever transaction the session is in."""
    session.add(Order(id=number))
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.5)
    schedule_task(remind, f"remind-{number}", execute_at=soon, args=[number], connection=session)


def reminded() -> list[str]:
    return DONE.read_text().splitlines() if DONE.exists() else []


def main() -> None:
    wait_for("the first beat", is_founded)
    engine = create_engine(DATABASE)
    Base.metadata.create_all(engine)

    with Session(engine) as session, session.begin():
        place(session, 1)

    try:
        with Session(engine) as session, session.begin():
            place(session, 2)
            raise RuntimeError("the card was refused")
    except RuntimeError as error:
        print(f"order 2 is rolled back: {error}")

    with Session(engine) as session, session.begin():
        place(session, 3)
        with session.begin_nested() as savepoint:
            place(session, 4)
            savepoint.rollback()

    wait_for("a reminder of each order that was kept", lambda: {"1", "3"} <= set(reminded()))
    with Session(engine) as session, session.begin():
        place(session, 5)
    wait_for("one that was scheduled after all others", lambda: "5" in reminded())

    with Session(engine) as session:
        print(f"orders:   {', '.join(str(order.id) for order in session.scalars(select(Order).order_by(Order.id)))}")
    print(f"reminded: {', '.join(sorted(reminded()))}")
    engine.dispose()
    if sorted(reminded()) != ["1", "3", "5"]:
        raise SystemExit("that is not what it should be")


def is_founded() -> bool:
    try:
        return get_task("anything") is None
    except SchemaMismatch:
        return False


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.1)
    print(f"there is {what}")


def start(*command: str) -> subprocess.Popen[bytes]:
    with (DIRECTORY / f"{command[0]}.log").open("wb") as log:
        call = [sys.executable, "-m", "celery", "-A", "transactional", *command]
        return subprocess.Popen(call, cwd=Path(__file__).parent, stdout=log, stderr=log)


if __name__ == "__main__":
    processes = [start("beat", "-S", "pyncette", "-s", str(DIRECTORY / "schedule"), "--pidfile=")]
    processes.append(start("worker", "-P", "solo", "-l", "warning", "--without-mingle", "--without-gossip"))
    try:
        main()
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(20)
        shutil.rmtree(DIRECTORY)

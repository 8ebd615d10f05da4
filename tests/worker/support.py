"""Runs without a beat: a record with a run that is RECORDed and marked, and the message that asks for its START."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from celery import Celery

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record, Run, Ticket
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Change, Founding, Query, Store
from tests.support.brokers import Broker
from tests.support.process import Process, Processes
from tests.support.wait import wait_until

#: Seconds; what takes longer than this on a busy machine has not happened.
PATIENCE = 25.0
STORE_ID = "the-store"
LEASE = 3_000


def a_ticket(name: str = "entry", **changes: Any) -> Ticket:
    """The ticket of a first attempt."""
    ticket = Ticket(
        ns="proj",
        store=STORE_ID,
        key=Key(f"s:{name}"),
        gen="g1",
        due_at=Instant(1_000_000),
        attempt=1,
        task_id=f"id-{name}-{secrets.token_hex(4)}",
        aware=True,
        delivery="at_least_once",
        lease_ms=LEASE,
        start_within=5_000,
        max_run=60_000,
    )
    return replace(ticket, **changes)


def a_record(ticket: Ticket, task: str = "proj.work", **run: Any) -> Record:
    """A static entry whose run is open, sent and not started."""
    values = {
        "due_at": ticket.due_at,
        "generation": ticket.gen,
        "attempt": ticket.attempt,
        "task_id": ticket.task_id,
        "dispatched_at": ticket.due_at,
        "until": NEVER,
        **run,
    }
    return Record(
        key=ticket.key,
        lane=Lane.ENTRIES,
        generation=ticket.gen,
        spec=EntrySpec(name=ticket.key[2:], task=task, origin=Origin.STATIC),
        due_at=Instant(ticket.due_at + 3_600_000),
        run=Run(**values),
        epoch=ticket.epoch,
    )


def put(store: Store, record: Record) -> None:
    """Store a record that is not there."""
    write = Change(key=record.key, expect=None, record=record, write_id=secrets.token_hex(8))
    assert store.apply([write]).written[0].verdict.value == "applied"


def get(store: Store, key: str) -> Record:
    record = store.fetch([Key(key)]).records[0]
    assert record is not None, key
    return record


HEAD = """\
import json
import os
import time
from pathlib import Path

from celery import Celery, Task
from celery.exceptions import Ignore, Reject

HERE = Path(__file__).parent
app = Celery("proj")
app.config_from_object(json.loads((HERE / "conf.json").read_text()))


def say(what, request=None, **more):
    line = {"what": what, "at": time.time(), "pid": os.getpid(), **more}
    if request is not None:
        line["id"] = request.id
    with (HERE / "said.jsonl").open("a") as log:
        log.write(json.dumps(line, default=str) + "\\n")


@app.task(bind=True)
def work(self, seconds=0.0):
    from celery_pyncette import current_occurrence

    now = current_occurrence()
    say("began", self.request, occurrence=now and [now.entry, now.due_at.isoformat(), now.attempt, now.token])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
    say("ended", self.request)
    return "done"
"""
EXTENSION = "\nfrom celery_pyncette import Pyncette\n\npyncette = Pyncette(app)\n"


class Workshop:
    """A project whose workers have the gate, its store and its broker.

    ``founded``: by us; else a beat does it.
    """

    def __init__(
        self, directory: Path, processes: Processes, broker: Broker, store_url: str, *, founded: bool = True
    ) -> None:
        self.directory = directory
        self.processes = processes
        self.broker = broker
        self.store_url = store_url
        self.store = open_store(store_url, "proj", timeout=5.0)
        if founded:
            self.store.prepare(Founding(store_id=STORE_ID))
        self.app = Celery("sender", set_as_current=False)
        self.app.conf.update(broker.settings)

    def write(self, more: str = EXTENSION, **conf: Any) -> Workshop:
        settings = {**self.broker.settings, "pyncette_store_url": self.store_url, **conf}
        (self.directory / "conf.json").write_text(json.dumps(settings))
        (self.directory / "proj.py").write_text(HEAD + more)
        return self

    def worker(self, pool: str = "solo", *args: str, **options: Any) -> Process:
        """Start a worker, and wait until it listens."""
        worker = self.processes.worker("proj", *args, pool=pool, cwd=self.directory, **options)
        worker.wait_for_log(r"ready\.", PATIENCE)
        return worker

    def run(self, name: str, *args: Any, task: str = "proj.work", **changes: Any) -> Ticket:
        """Record a run, and send its message."""
        ticket = a_ticket(name, **changes)
        put(self.store, a_record(ticket, task))
        self.send(ticket, *args, task=task)
        return ticket

    def send(self, ticket: Ticket | dict[str, Any], *args: Any, task: str = "proj.work", **options: Any) -> str:
        """Send the message of a ticket, or of a header that is none."""
        if isinstance(ticket, Ticket):
            header: Any = ticket.as_header()
            task_id = ticket.task_id
        else:
            header, task_id = ticket, f"id-{secrets.token_hex(6)}"
        headers = {"pyncette": header, "periodic_task_name": "entry"} if header != {} else {}
        options = {"task_id": task_id, "headers": headers, **options}
        return str(self.app.send_task(task, args=args, **options).id)

    def said(self, what: str = "", task_id: str = "") -> list[dict[str, Any]]:
        """What the tasks have written down."""
        log = self.directory / "said.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [
            line for line in lines if (not what or line["what"] == what) and (not task_id or line.get("id") == task_id)
        ]

    def record(self, ticket: Ticket) -> Record:
        return get(self.store, ticket.key)

    def outcome(self, ticket: Ticket) -> str | None:
        run = self.record(ticket).run
        return None if run is None or run.outcome is None else run.outcome.value

    def reported(self, ticket: Ticket, outcome: str, deadline: float = PATIENCE) -> Record:
        """Wait until a run has this outcome."""
        self.until(lambda: self.outcome(ticket) == outcome, f"{ticket.key} {outcome}", deadline)
        return self.record(ticket)

    def began(self, ticket: Ticket, times: int = 1) -> None:
        self.until(lambda: len(self.said("began", ticket.task_id)) >= times, f"{ticket.key} began")

    def until(self, condition: Callable[[], object], what: str, deadline: float = PATIENCE) -> None:
        wait_until(condition, deadline, lambda: f"{what}\n{self.processes.tails()}", every=0.05)

    def present(self) -> list[Record]:
        return list(self.store.scan(Query(prefix="p:")).records)

"""A project whose workers are plain Celery: the beats alone have the package. And the account of what ran."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from celery_pyncette.core.records import Record
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Query
from tests.support.brokers import Broker
from tests.support.process import Process, Processes

PATIENCE = 40.0
CLAIM_TIME = 1.5
START_WITHIN = 2.0
LONG = 3 * START_WITHIN

PROJECT = '''\
import json
import os
import sys
import time
from pathlib import Path

from celery import Celery

HERE = Path(__file__).parent
app = Celery("ordinary")
app.config_from_object(json.loads((HERE / "conf.json").read_text()))


def write(self, what):
    headers = self.request.headers or {}
    line = {
        "entry": headers.get("periodic_task_name"), "due_at": (headers.get("pyncette") or {}).get("due_at"),
        "attempt": (headers.get("pyncette") or {}).get("attempt"), "id": self.request.id, "what": what,
        "at": time.time(), "pid": os.getpid(), "package": "celery_pyncette.worker" in sys.modules,
        "retries": self.request.retries,
    }
    with (HERE / "runs.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\\n")


@app.task(bind=True)
def work(self, seconds=0.0):
    write(self, "start")
    time.sleep(seconds)
    write(self, "end")


@app.task(bind=True, ignore_result=True)
def silent(self, seconds=0.0):
    write(self, "start")
    time.sleep(seconds)
    write(self, "end")


@app.task(bind=True)
def fails(self, times=2):
    """Raises at the first starts of each occurrence."""
    write(self, "start")
    due_at = self.request.headers["pyncette"]["due_at"]
    log = HERE / f"failures-{due_at}"
    if not log.exists() or log.stat().st_size < times:
        with log.open("a") as note:
            note.write("x")
        raise RuntimeError("not yet")
    write(self, "end")


@app.task(bind=True, max_retries=5)
def again(self, times=1):
    """Retries itself, as Celery's tasks do."""
    write(self, "start")
    if self.request.retries < times:
        raise self.retry(countdown=0.5)
    write(self, "end")
'''


class Ordinary:
    """Module `ordinary` with its tasks; a beat and workers are started when a test wants them."""

    def __init__(self, directory: Path, processes: Processes, broker: Broker, store_url: str, backend: str) -> None:
        self.directory = directory
        self.processes = processes
        self.broker = broker
        self.store_url = store_url
        self.backend = backend

    def write(self, entries: dict[str, dict[str, Any]], more: str = "", **conf: Any) -> Ordinary:
        """Write the module and its configuration."""
        settings = {
            **self.broker.settings,
            "beat_schedule": entries,
            "result_backend": self.backend,
            "result_expires": 600,
            "task_track_started": True,
            "pyncette_store_url": self.store_url,
            "pyncette_namespace": "ordinary",
            "pyncette_result_aware": True,
            "pyncette_policies": {"celery.*": {"result_aware": False}},
            "pyncette_claim_time": CLAIM_TIME,
            "pyncette_poll_interval": 0.5,
            "pyncette_start_within": START_WITHIN,
            "pyncette_lease": 3,
            "pyncette_backoff": [1, 2],
            **conf,
        }
        (self.directory / "conf.json").write_text(json.dumps(settings))
        (self.directory / "ordinary.py").write_text(PROJECT + more)
        return self

    def beat(self) -> Process:
        """Start a beat, and wait until it works."""
        beat = self.processes.beat("ordinary", cwd=self.directory)
        beat.wait_for_log("beat_started", PATIENCE)
        return beat

    def worker(self, *args: str, **options: Any) -> Process:
        """Start a worker, and wait until it is ready."""
        options = {"pool": "prefork", "cwd": self.directory, **options}
        worker = self.processes.worker(options.pop("app", "ordinary"), *(args or ("-c", "4")), **options)
        worker.wait_for_log(r"ready\.", PATIENCE)
        return worker

    def lines(self, entry: str = "", what: str = "") -> list[dict[str, Any]]:
        """What the tasks wrote down."""
        log = self.directory / "runs.jsonl"
        text = log.read_text() if log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
        return [line for line in lines if line["entry"] == (entry or line["entry"]) and what in ("", line["what"])]

    def started_twice(self, entry: str = "") -> list[Any]:
        """Occurrences whose user code started more than once."""
        starts = [line for line in self.lines(entry, "start") if not line["retries"]]
        seen = Counter((line["entry"], line["due_at"]) for line in starts)
        return [(occurrence, starts) for occurrence, count in seen.items() if count > 1]

    def records(self, prefix: str = "s:") -> dict[str, Record]:
        """What the store has, by key."""
        store = open_store(self.store_url, "ordinary", timeout=5.0)
        try:
            store.prepare(None)
            return {record.key: record for record in store.scan(Query(prefix=prefix, limit=500)).records}
        finally:
            store.close()


def entry(task: str, interval: float, *args: Any, **options: Any) -> dict[str, Any]:
    """An entry of the project's schedule."""
    return {"task": f"ordinary.{task}", "schedule": interval, "args": list(args), "options": options}


def now() -> float:
    return time.time()

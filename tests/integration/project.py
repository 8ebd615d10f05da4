"""A small Celery project in a directory: the source of its app, its configuration, what its tasks wrote down."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from celery_pyncette.core.records import Record
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Query
from tests.support.brokers import Broker
from tests.support.process import Process, Processes

PATIENCE = 30.0
"""Seconds; what takes longer than this on a busy machine has not happened."""

HEAD = '''\
import json
import time
from pathlib import Path

from celery import Celery

HERE = Path(__file__).parent
app = Celery("proj")
settings = json.loads((HERE / "conf.json").read_text())
app.config_from_object(settings)


@app.task(bind=True)
def note(self, *args, **kwargs):
    """Write down what arrived."""
    request = self.request
    line = {
        "args": args, "kwargs": kwargs, "id": request.id, "headers": request.headers, "expires": request.expires,
        "delivery": request.delivery_info, "at": time.time(),
    }
    with (HERE / "runs.jsonl").open("a") as log:
        log.write(json.dumps(line, default=str) + "\\n")
'''

EVERY_SECOND = {"task": "proj.note", "schedule": 1.0}


class Project:
    """Module `proj` with the task `proj.note`; `more` is source that follows it."""

    def __init__(self, directory: Path, processes: Processes, broker: Broker, store_url: str | None) -> None:
        self.directory = directory
        self.processes = processes
        self.broker = broker
        self.store_url = store_url
        self.namespace = "proj"

    def write(self, more: str = "", **conf: Any) -> Project:
        """Write the module and its configuration; a setting that is None is left out."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.write_conf(**conf)
        (self.directory / "proj.py").write_text(HEAD + more)
        return self

    def write_conf(self, **conf: Any) -> None:
        """Write the configuration alone."""
        settings = {
            **self.broker.settings,
            "result_expires": 0,
            "pyncette_store_url": self.store_url,
            "beat_schedule": {"every-second": EVERY_SECOND},
            **conf,
        }
        settings = {name: value for name, value in settings.items() if value is not None}
        (self.directory / "conf.json").write_text(json.dumps(settings))

    def beat(self, *args: str, **options: Any) -> Process:
        """Start a beat; does not wait."""
        return self.processes.beat("proj", *args, cwd=self.directory, **options)

    def working_beat(self, *args: str, **options: Any) -> Process:
        """Start a beat, and wait until it works."""
        beat = self.beat(*args, **options)
        beat.wait_for_log("beat_started", PATIENCE)
        return beat

    def worker(self, *args: str, **options: Any) -> Process:
        return self.processes.worker("proj", *args, cwd=self.directory, **options)

    def runs(self, entry: str = "") -> list[dict[str, Any]]:
        """What the tasks wrote down, of one entry or of all."""
        log = self.directory / "runs.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if not entry or line["headers"]["periodic_task_name"] == entry]

    def records(self) -> dict[str, Record]:
        """The static entries that the store has, by name; none before it is there."""
        assert self.store_url is not None
        return records_in(self.store_url, self.namespace)


def records_in(store_url: str, namespace: str) -> dict[str, Record]:
    """The static entries of a namespace, by name."""
    store = open_store(store_url, namespace, timeout=5.0)
    try:
        store.prepare(None)
        return {record.spec.name: record for record in store.scan(Query(prefix="s:", limit=500)).records}
    finally:
        store.close()


def ran_twice(runs: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Occurrences that ran more than once."""
    seen = Counter((run["headers"]["periodic_task_name"], run["headers"]["pyncette"]["due_at"]) for run in runs)
    return [occurrence for occurrence, count in seen.items() if count > 1]

"""Tasks per second of one worker, with the gate and without: ``python -m tests.benchmarks.worker [--count 5000]``.

Over one Redis of its own, broker and store in one. All messages lie in the queue before the worker starts; their tasks
do nothing. Three contestants take turns: a plain worker; one with the gate and ordinary messages; one with the gate and
result-aware runs, each of which is STARTed and reported. What counts is the time from the first task to the last.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from celery import Celery

from celery_pyncette.core.records import Record
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Change, Founding
from tests.support.own_redis import OwnRedis
from tests.worker.support import STORE_ID, a_record, a_ticket

SOURCE = """\
import json, os, time
from pathlib import Path
from celery import Celery

HERE = Path(__file__).parent
app = Celery("proj")
app.config_from_object(json.loads((HERE / "conf.json").read_text()))
if os.environ.get("GATE"):
    from celery_pyncette import Pyncette

    Pyncette(app)
_log = None


@app.task(ignore_result=True)
def work():
    global _log
    if _log is None:
        _log = (HERE / f"runs-{os.getpid()}").open("a", buffering=1)
    _log.write(f"{time.monotonic()}\\n")
"""
PLAIN, IDLE, AWARE = "plain worker", "gate, ordinary messages", "gate, result-aware runs"
CONTESTANTS = (PLAIN, IDLE, AWARE)
PATIENCE = 300.0


def trial(contestant: str, count: int, children: int) -> dict[str, float]:
    """One worker over a fresh Redis."""
    with OwnRedis() as server, tempfile.TemporaryDirectory() as name:
        directory, base = Path(name), server.url.rsplit("/", 1)[0]
        conf = {"broker_url": f"{base}/0", "pyncette_store_url": f"{base}/1"}
        (directory / "conf.json").write_text(json.dumps(conf))
        (directory / "proj.py").write_text(SOURCE)
        store_url = f"{base}/1"
        _enqueue(conf["broker_url"], store_url, count, aware=contestant == AWARE)
        times, cpu = _work(directory, count, children, gate=contestant != PLAIN)
        if contestant == AWARE:
            _check(store_url, count)
        return {"per_second": (count - 1) / (times[-1] - times[0]), "cpu_us": cpu / count * 1e6}


def _enqueue(broker: str, store_url: str, count: int, *, aware: bool) -> None:
    store = open_store(store_url, "proj", timeout=5.0)
    store.prepare(Founding(store_id=STORE_ID))
    app = Celery("sender", broker=broker, set_as_current=False)
    tickets = [a_ticket(f"n{number}", lease_ms=60_000) for number in range(count)] if aware else []
    changes: Iterator[Change] = (_creation(a_record(ticket)) for ticket in tickets)
    while batch := list(islice(changes, 500)):
        store.apply(batch)
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for number in range(count):
            headers = {"pyncette": tickets[number].as_header()} if aware else {}
            task_id = tickets[number].task_id if aware else None
            app.send_task("proj.work", task_id=task_id, headers=headers, producer=producer)
    store.close()
    app.close()


def _creation(record: Record) -> Change:
    return Change(key=record.key, expect=None, record=record, write_id=record.key)


def _work(directory: Path, count: int, children: int, *, gate: bool) -> tuple[list[float], float]:
    """Let a worker do it all; when each task ran, and the CPU seconds of the worker and its children."""
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{root}", "GATE": "1" if gate else ""}
    command = [sys.executable, "-m", "celery", "-A", "proj", "worker", "-c", str(children), "-l", "error"]
    quick = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    before = sum(os.times()[2:4])
    with (directory / "log").open("wb") as log:
        worker = subprocess.Popen(command + quick, cwd=directory, env=env, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while len(times := _times(directory)) < count and time.monotonic() < deadline:
            time.sleep(0.25)
        worker.terminate()
        worker.wait(60)
    if len(times) != count:
        raise SystemExit(f"{len(times)} of {count} tasks ran:\n{(directory / 'log').read_text()[-2000:]}")
    return times, sum(os.times()[2:4]) - before


def _times(directory: Path) -> list[float]:
    lines = (line for path in directory.glob("runs-*") for line in path.read_text().splitlines())
    return sorted(float(line) for line in lines)


def _check(store_url: str, count: int) -> None:
    """Each run must have its outcome in the store, or it was another race."""
    store = open_store(store_url, "proj", timeout=5.0)
    store.prepare(None)
    keys = [a_ticket(f"n{number}").key for number in range(count)]
    runs = [record.run for record in store.fetch(keys).records if record is not None]
    store.close()
    ended = sum(run is not None and run.outcome is not None and run.starts == 1 for run in runs)
    if ended != count:
        raise SystemExit(f"{ended} of {count} runs were reported")


def main() -> None:
    """Rounds in turn, then a Markdown table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--children", type=int, default=2)
    given = parser.parse_args()
    results: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(given.rounds):
        for name in CONTESTANTS:
            results[name].append(trial(name, given.count, given.children))
            sys.stderr.write(f"  {name}: {results[name][-1]}\n")
    sys.stdout.write(f"| {given.count:,} empty tasks, {given.children} children | tasks per second | CPU per task |\n")
    sys.stdout.write("|---|--:|--:|\n")
    for name, rows in results.items():
        rate, cpu = (statistics.median(row[figure] for row in rows) for figure in ("per_second", "cpu_us"))
        sys.stdout.write(f"| {name} | {rate:,.0f} | {cpu:,.0f} µs |\n")


if __name__ == "__main__":
    main()

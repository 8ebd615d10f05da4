"""Entries added, changed, paused and removed at run time, with a real beat and a real worker and no server at all.

    python examples/dynamic_tasks.py

It takes about ten seconds. Exit status 0 if everything went as it says.
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
from pathlib import Path

from celery import Celery

from celery_pyncette import (
    Pyncette,
    get_task,
    list_tasks,
    pause_task,
    preview_schedule,
    resume_task,
    run_task_now,
    schedule_task,
    schedule_tasks,
    unschedule_task,
)
from celery_pyncette.core.errors import SchemaMismatch

# The beat and the worker, which import this module, get to know the directory by their environment.
DIRECTORY = Path(os.environ.get("DYNAMIC_TASKS") or tempfile.mkdtemp(prefix="pyncette-dynamic-"))
os.environ["DYNAMIC_TASKS"] = str(DIRECTORY)
QUEUE, CONTROL, DONE = DIRECTORY / "queue", DIRECTORY / "control", DIRECTORY / "done"
QUEUE.mkdir(exist_ok=True)

app = Celery("dynamic_tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(QUEUE),
        "data_folder_out": str(QUEUE),
        "control_folder": str(CONTROL),
    },
    pyncette_store_url=f"sqlite:///{DIRECTORY}/store.sqlite3",
    pyncette_poll_interval=0.2,
    pyncette_allowed_tasks=["dynamic_tasks.*"],
)
Pyncette(app)


@app.task(name="dynamic_tasks.greet")
def greet(name: str) -> None:
    with DONE.open("a") as done:
        done.write(f"{name}\n")


def greeted(name: str) -> int:
    """How often somebody was greeted."""
    return DONE.read_text().splitlines().count(name) if DONE.exists() else 0


def main() -> None:
    wait_for("the first beat", is_founded)

    print(f"see before you store: {preview_schedule('30 7 * * mon', count=2, timezone='Asia/Tokyo').times[0]}")
    schedule_task(greet, "hello-ada", interval=1, args=["Ada"])
    wait_for("Ada, each second", lambda: greeted("Ada") >= 2)

    schedule_task(greet, "hello-ada", interval=1, args=["Countess Lovelace"])
    wait_for("the same entry with another argument", lambda: greeted("Countess Lovelace") >= 1)

    pause_task("hello-ada", "she is asleep")
    run_task_now("hello-ada")
    print(f"hello-ada is {get_task('hello-ada').state}, and has one run nevertheless")
    resume_task("hello-ada", "skip")
    assert unschedule_task("hello-ada")

    people = ({"task": "dynamic_tasks.greet", "name": f"hello-{n}", "interval": 3600, "args": [n]} for n in range(2000))
    done = schedule_tasks(people)
    print(f"{done.created} entries at once, {done.failed} refused")
    page = list_tasks(prefix="hello-199", limit=3)
    print(f"the first of them: {', '.join(task.name for task in page.tasks)}, and so on")


def is_founded() -> bool:
    try:
        return get_task("anything") is None
    except SchemaMismatch:
        return False


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.1)
    print(f"there is {what}")


def start(*command: str) -> subprocess.Popen[bytes]:
    log = (DIRECTORY / f"{command[0]}.log").open("wb")
    with log:
        call = [sys.executable, "-m", "celery", "-A", "dynamic_tasks", *command]
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

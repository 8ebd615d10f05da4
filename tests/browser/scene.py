"""A project with entries of all kinds in a real store, its beat, its worker, and Flowers in processes of their own."""

from __future__ import annotations

import json
import secrets
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

from celery import Celery

from celery_pyncette import Pyncette, TaskState, get_task, pause_task, schedule_task, schedule_tasks
from tests.support.ports import free_port
from tests.support.process import Processes
from tests.support.wait import wait_until

SOURCE = """\
import itertools
import json
import secrets
import time
from pathlib import Path

from celery import Celery

from celery_pyncette import Pyncette

app = Celery("proj")
app.config_from_object(json.loads((Path(__file__).parent / "conf.json").read_text()))
Pyncette(app)
numbers = itertools.count(1)


@app.task(bind=True)
def mail(self, *args, **kwargs):
    with open("mailed", "a") as log:
        print(self.request.headers.get("periodic_task_name"), file=log)


@app.task
def fetch():
    number = next(numbers)
    time.sleep((0.1, 0.5, 0.2, 0.7, 0.3)[number % 5])
    if number % 4 == 0:
        raise RuntimeError("the other end was not there")


@app.task
def fails():
    raise RuntimeError("as it should")


@app.task
def report(year):
    time.sleep(600)
"""

FLOWERCONFIG = "from celery_pyncette.flower import install\n\ninstall()\n"

PAUSED = "accounts: close the day"
FETCHING = "accounts: statements"
SENDING = "accounts: reminders"
RUNNING = "accounts: year's report"
DEAD = "accounts: import of 2019"
LONG = "archive/" + "a-folder-with-a-long-name/" * 8 + "end"
HOSTILE = "<b>\"&' {{ 7 * 7 }}</b>"
NOTE = "until the ledger is repaired, ask Ann"
CUSTOMER = "customer {:06}: digest"
PARKED = [f"parked-{number}" for number in range(40)]


class Scene:
    """Everything but the browser."""

    def __init__(self, directory: Path, processes: Processes, broker: str, store: str, count: int) -> None:
        self.directory, self.processes, self.count = directory, processes, count
        conf = {
            "broker_url": broker,
            "task_default_queue": f"scene-{secrets.token_hex(4)}",
            "pyncette_store_url": store,
            "pyncette_delay_queue": True,
            "task_send_sent_event": True,
            "broker_connection_retry_on_startup": True,
            "timezone": "Europe/Berlin",
        }
        (directory / "proj.py").write_text(SOURCE)
        (directory / "flowerconfig.py").write_text(FLOWERCONFIG)
        (directory / "conf.json").write_text(json.dumps(conf))
        self.app = Celery("proj", set_as_current=False)
        self.app.config_from_object(conf)
        Pyncette(self.app)

    def play(self) -> Scene:
        """Start beat and worker, fill the store; entries run until the end."""
        beat = self.processes.beat("proj", cwd=self.directory)
        self.processes.worker("proj", "-E", "-c", "4", pool="threads", cwd=self.directory)
        beat.wait_for_log("beat_started", 60)
        self._accounts()
        for name in (LONG, HOSTILE):
            schedule_task("proj.mail", name, interval=86_400, app=self.app)
        digests = ({"task": "proj.mail", "name": self.customer(n), "interval": 86_400} for n in range(self.count))
        schedule_tasks(digests, app=self.app)
        for number, task_id in enumerate(PARKED):
            self.app.send_task("proj.mail", (f"order {number}",), task_id=task_id, countdown=3600 + 60 * number)
        return self

    def _accounts(self) -> None:
        aware = {"result_aware": True}
        schedule_task("proj.mail", PAUSED, schedule="0 18 * * 1-5", app=self.app)
        pause_task(PAUSED, NOTE, app=self.app)
        schedule_task("proj.fetch", FETCHING, interval=1, policy=aware, app=self.app)
        schedule_task("proj.mail", SENDING, interval=2, app=self.app)
        now = datetime.now(timezone.utc)
        schedule_task("proj.report", RUNNING, execute_at=now, args=(2026,), policy=aware, app=self.app)
        given_up = {**aware, "on_failure": "retry", "max_attempts": 1}
        schedule_task("proj.fails", DEAD, execute_at=now, policy=given_up, app=self.app)

    def customer(self, number: int) -> str:
        return CUSTOMER.format(number)

    def state(self, name: str) -> TaskState:
        """An entry as the store has it."""
        found = get_task(name, app=self.app)
        assert found is not None, name
        return found

    def runs(self, name: str) -> int:
        """How often an entry has run that calls ``proj.mail``."""
        log = self.directory / "mailed"
        return log.read_text().splitlines().count(name) if log.exists() else 0

    def wait_for_runs(self, name: str, count: int, seconds: float = 60) -> None:
        """Wait until an entry has had so many runs."""
        wait_until(lambda: len(self.state(name).recent) >= count, seconds, lambda: f"{self.state(name)}", every=0.3)

    def flower(self, *options: str, **environment: str) -> str:
        """Start a Flower, and wait until it answers: its address."""
        port = free_port()
        started = self.processes.celery(
            "proj",
            "flower",
            "--address=127.0.0.1",
            f"--port={port}",
            *options,
            name=f"flower-{port}",
            cwd=self.directory,
            env={"FLOWER_UNAUTHENTICATED_API": "", **environment},
        )
        root = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{root}/healthcheck"), 60, started.tail, every=0.1)
        return root


def answers(url: str) -> bool:
    """Whether somebody says 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False

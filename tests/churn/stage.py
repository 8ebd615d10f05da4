"""Beats, one gated worker and the writers over one store; and what is there afterwards."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from celery import Celery

from celery_pyncette import list_tasks, unschedule_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.records import Record
from celery_pyncette.stores import open_store
from celery_pyncette.stores.protocol import Query
from tests.churn.account import Change, Final, Ran
from tests.support.brokers import Broker
from tests.support.process import Process, Processes
from tests.support.wait import wait_until

PATIENCE = 90.0
CLAIM_TIME = 4
PROJECT = """\
import json
import random
import time
from pathlib import Path

from celery import Celery
from celery_pyncette import Pyncette

HERE = Path(__file__).parent
app = Celery("proj")
app.conf.update(json.loads((HERE / "conf.json").read_text()))
Pyncette(app)
log = (HERE / "runs.jsonl").open("a", buffering=1)


@app.task(bind=True, ignore_result=True)
def note(self, change):
    ticket = self.request.headers["pyncette"]
    name = self.request.headers["periodic_task_name"]
    said = {"name": name, "generation": ticket["gen"], "due_at": ticket["due_at"], "change": change}
    log.write(json.dumps({**said, "at": time.time() * 1000}) + "\\n")
    if random.random() < 0.2:
        time.sleep(0.2)
"""


class Stage:
    """One test's cast."""

    def __init__(self, directory: Path, processes: Processes, store_url: str, broker: Broker) -> None:
        self.directory, self.processes, self.store_url = directory, processes, store_url
        self.beats: list[Process] = []
        self.kills = 0
        conf = {
            **broker.settings,
            "beat_schedule": {},
            "result_expires": None,
            "pyncette_store_url": store_url,
            "pyncette_store_timeout": 20,
            "pyncette_claim_time": CLAIM_TIME,
            "pyncette_catch_up": "all",
            "pyncette_poll_interval": 0.25,  # an outcome, too, is seen by polling, and holds back the next run
        }
        (directory / "conf.json").write_text(json.dumps(conf))
        (directory / "proj.py").write_text(PROJECT)
        self.app = Celery("proj", set_as_current=False)
        self.app.conf.update(conf)

    def begin(self) -> None:
        """Two beats and a worker."""
        self.processes.worker("proj", "-c", "8", "--prefetch-multiplier", "1", pool="threads", cwd=self.directory)
        for beat in (self.launch_beat(), self.launch_beat()):
            beat.wait_for_log("beat_started", PATIENCE)

    def launch_beat(self) -> Process:
        beat = self.processes.beat("proj", name=f"beat-{len(self.beats)}")
        self.beats.append(beat)
        return beat

    def churn(self, *, writers: int, seconds: float, names: int, kill_every: float) -> None:
        """Let the writers work, and kill a beat now and then; another one takes its place."""
        size = (str(writers), str(seconds), str(names))
        root = Path(__file__).parents[2]
        work = self.processes.python("-m", "tests.churn.writers", self.directory, *size, name="writers", cwd=root)
        chance, kill_at = random.Random(0), time.monotonic() + kill_every
        while work.alive:
            time.sleep(0.05)
            working = self._working() if time.monotonic() >= kill_at else []
            if len(working) == 2:
                kill_at = time.monotonic() + kill_every
                chance.choice(working).kill()
                self.kills += 1
                self.launch_beat()
        assert work.returncode == 0, work.tail()

    def _working(self) -> list[Process]:
        return [beat for beat in self.beats if beat.alive and "beat_started" in beat.text]

    def changes(self) -> list[Change]:
        lines = (line for path in sorted(self.directory.glob("ops-*.jsonl")) for line in path.read_text().splitlines())
        return [Change(**json.loads(line)) for line in lines]

    def runs(self) -> list[Ran]:
        log = self.directory / "runs.jsonl"
        text = log.read_text() if log.exists() else ""
        return [Ran(**json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]

    def final(self) -> dict[str, Final]:
        """The entries that are there."""
        found, cursor = {}, None
        while True:
            page = list_tasks(origin="dynamic", limit=1000, cursor=cursor, app=self.app)
            for task in page.tasks:
                note = None if task.paused is None else task.paused.note
                found[task.name] = Final(task.generation, task.spec.args[0], note)
            cursor = page.cursor
            if cursor is None:
                return found

    def records(self) -> list[Record]:
        """Every entry and every single run in the store, tombstones and dead letters too."""
        store = open_store(self.store_url, "proj", timeout=20.0)
        store.prepare(None)
        found: list[Record] = []
        for prefix in ("d:", "o:"):
            cursor = None
            while True:
                page = store.scan(Query(prefix=prefix, limit=1000), cursor)
                found += page.records
                cursor = page.cursor
                if cursor is None:
                    break
        store.close()
        return found

    def remove_all(self) -> None:
        for name in self.final():
            assert unschedule_task(name, app=self.app)

    def close(self) -> None:
        """Beats leave in good order; none of them has died by itself."""
        for beat in [beat for beat in self.beats if beat.returncode != -9]:
            beat.wait_for_log("beat_started", PATIENCE)
            assert beat.terminate(15) == 0, beat.tail()
            assert "Traceback" not in beat.text, beat.tail(200)
        desk_of(self.app).close()

    def open_runs(self) -> list[Record]:
        """What has a run that is open or going on."""
        return [record for record in self.records() if record.run is not None]


def until(condition, message) -> None:
    wait_until(condition, PATIENCE, message, every=0.25)

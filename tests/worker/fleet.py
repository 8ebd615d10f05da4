"""Beats and gated workers as processes, over a schedule; and the account of what ran, by due time."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from itertools import pairwise
from typing import Any

from celery_pyncette.core.records import Recent, Record
from celery_pyncette.stores.protocol import Query
from tests.support.process import Process
from tests.support.wait import wait_until
from tests.worker.support import EXTENSION, PATIENCE, Workshop

TASKS = (
    EXTENSION
    + '''
@app.task(bind=True)
def busy(self, seconds=0.1):
    """Work, and look all the time whether the lease is lost."""
    from celery_pyncette import current_occurrence, lease_lost

    now = current_occurrence()
    about = dict(entry=now.entry, due=now.due_at.timestamp(), token=now.token, attempt=now.attempt)
    say("began", self.request, **about)
    lost = False
    for _ in range(max(1, round(seconds / 0.05))):  # not until a time: that goes on while the process is stopped
        time.sleep(0.05)
        lost = lost or lease_lost()
    say("ended", self.request, lost=lost, **about)
'''
)


class Fleet:
    """A workshop whose namespace is founded by beats; times in seconds unless they are a record's."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.workers: dict[str, Process] = {}
        self.beats: list[Process] = []

    def write(self, entries: dict[str, tuple[float, float]], **conf: Any) -> Fleet:
        """The project: entries by name, each with its interval and how long its task takes."""
        schedule = {
            name: {"task": "proj.busy", "schedule": every, "args": [runs]} for name, (every, runs) in entries.items()
        }
        self.workshop.write(
            TASKS, **{"beat_schedule": schedule, "result_expires": None, "pyncette_result_aware": True, **conf}
        )
        return self

    def start_beats(self, count: int = 2) -> None:
        for _ in range(count):
            self.beats.append(self.workshop.processes.beat("proj", cwd=self.workshop.directory))
        for beat in self.beats:
            beat.wait_for_log("beat_started", PATIENCE)
        self.workshop.store.prepare(None)

    def start_workers(self, *names: str, pool: str = "prefork", children: int = 2) -> None:
        """Side by side: each takes no more than it has children."""
        for name in names:
            # Its name is that of its control queue, too, which others on this RabbitMQ may not have.
            own = f"{name}-{self.workshop.broker.queue}"
            limits = ("-c", str(children), "--prefetch-multiplier", "1")
            self.workers[name] = self.workshop.processes.worker(
                "proj", *limits, pool=pool, name=own, cwd=self.workshop.directory
            )
        for name in names:
            self.workers[name].wait_for_log(r"ready\.", PATIENCE)

    def everybody(self) -> list[Process]:
        return [*self.beats, *self.workers.values()]

    # --- what ran ---

    def lines(self, what: str = "", due: float | None = None) -> list[dict[str, Any]]:
        """What the tasks wrote down, of one due time or of all."""
        return [line for line in self.workshop.said(what) if due is None or line["due"] == due]

    def starts(self) -> Counter[tuple[str, float]]:
        return Counter((line["entry"], line["due"]) for line in self.lines("began"))

    def ended(self) -> set[tuple[str, float]]:
        return {(line["entry"], line["due"]) for line in self.lines("ended")}

    def one_busy(self, after: int, for_seconds: float = 0.0) -> dict[str, Any]:
        """Wait until so many have ended, then until one more has gone on for so long; what it said."""
        self.until(lambda: len(self.lines("ended")) >= after, f"{after} have ended")

        def busy() -> dict[str, Any] | None:
            over = {line["id"] for line in self.lines("ended")}
            long_ago = time.time() - for_seconds
            began = [line for line in reversed(self.lines("began")) if line["at"] <= long_ago]
            return next((line for line in began if line["id"] not in over), None)

        found = wait_until(busy, PATIENCE, self.workshop.processes.tails, every=0.02)
        assert found is not None
        return found

    def worker_of(self, line: dict[str, Any]) -> Process:
        """The worker that runs what said this."""
        (worker,) = [worker for worker in self.workers.values() if _parent(line["pid"]) == worker.pid]
        return worker

    def overlaps(self, killed_at: float) -> int:
        """Neighbours in time of which the second began before the first had ended, or was killed."""
        ends = {line["token"]: line["at"] for line in self.lines("ended")}
        began = sorted(self.lines("began"), key=lambda line: line["at"])
        return sum(ends.get(a["token"], killed_at) > b["at"] + 0.05 for a, b in pairwise(began))

    def record(self, name: str = "busy") -> Record:
        return next(r for r in self.workshop.store.scan(Query(prefix="s:")).records if r.spec.name == name)

    def history(self, due: float, name: str = "busy") -> list[Recent]:
        """What the entry's record remembers of one due time."""
        return [line for line in self.record(name).recent if line.due_at == round(due * 1000)]

    def says(self, pattern: str) -> int:
        """How often the workers have said this."""
        return sum(worker.text.count(pattern) for worker in self.workers.values())

    def until(self, condition: Any, what: str, deadline: float = PATIENCE) -> None:
        self.workshop.until(condition, what, deadline)

    def pause(self, worker: Process) -> None:
        """SIGSTOP to a worker and its children."""
        os.killpg(worker.pid, signal.SIGSTOP)

    def wake(self, worker: Process) -> None:
        os.killpg(worker.pid, signal.SIGCONT)


def _parent(pid: int) -> int:
    """The parent of a process; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - gone is gone
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0

"""The main job with no server at all: two beats share one schedule, one of them is killed, nothing is lost.

    python examples/demo/run.py

It takes about 25 seconds. Exit status 0 if every due occurrence ran exactly once, or is accounted for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
DIRECTORY = Path(tempfile.mkdtemp(prefix="pyncette-demo-"))
os.environ["DEMO_DIRECTORY"] = str(DIRECTORY)
sys.path.insert(0, str(HERE))

from app import INTERVALS, RUNS, app  # noqa: E402
from screen import Screen  # noqa: E402
from tally import Row, tally, worker_runs  # noqa: E402

from celery_pyncette.core.errors import SchemaMismatch  # noqa: E402
from celery_pyncette.runtime import Runtime  # noqa: E402
from celery_pyncette.stores.protocol import Query  # noqa: E402

SECONDS = 18.0
PATIENCE = 30.0


class Demo:
    """Everything that is started, and what is known of it."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.started: dict[str, subprocess.Popen] = {}
        self.store = Runtime(app).open_store(5.0)
        self.first_due: dict[str, int] = {}
        self.shown: set[str] = set()
        self.sent_by: dict[str, int] = {}

    def start(self, name: str, *args: str) -> None:
        """Start a Celery command; what it says goes to a file."""
        log = (DIRECTORY / f"{name}.log").open("w")
        with log:
            command = [sys.executable, "-m", "celery", "-A", "app", *args]
            self.started[name] = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log, start_new_session=True)
        self.screen.say(f"started {name}, process {self.started[name].pid}")

    def start_beat(self, name: str) -> None:
        """An ordinary beat, but for one flag."""
        schedule = str(DIRECTORY / f"{name}-schedule")
        self.start(name, "beat", "-S", "celery_pyncette.Scheduler", "-s", schedule, "--pidfile=", "-l", "info")

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal a process of ours, and wait until it is gone."""
        process = self.started[name]
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def records(self) -> list:
        """What the store keeps of the entries; nothing before the first beat has made it."""
        try:
            return list(self.store.scan(Query(prefix="s:")).records)
        except SchemaMismatch:
            return []

    def look(self) -> None:
        """Show what was sent since the last look; the records say by which beat."""
        lines = []
        for record in self.records():
            self.first_due.setdefault(record.spec.name, record.anchor + round(INTERVALS[record.spec.name] * 1000))
            lines += [(line, record.spec.name) for line in record.recent if line.task_id not in self.shown]
        for line, entry in sorted(lines, key=lambda pair: pair[0].dispatched_at or 0):
            self.shown.add(line.task_id)
            beat = self.name_of(line.beat)
            self.sent_by[beat] = self.sent_by.get(beat, 0) + 1
            self.screen.sent(list(self.started).index(beat), beat, entry, line.due_at, line.dispatched_at or 0)

    def name_of(self, owner: str) -> str:
        """The beat whose process id is in this owner (host:pid:random)."""
        pid = int(owner.split(":")[-2])
        return next(name for name, process in self.started.items() if process.pid == pid)

    def watch(self, until: Callable[[], bool], seconds: float) -> bool:
        """Show what happens until something is so, at most for these seconds; whether it became so."""
        end = time.monotonic() + seconds
        while not (done := until()) and time.monotonic() < end:
            for name in ("beat-a", "beat-b", "worker"):
                if name in self.started and self.started[name].poll() not in (None, -signal.SIGKILL):
                    raise SystemExit(f"{name} ended by itself; see {DIRECTORY / name}.log")
            self.look()
            time.sleep(0.1)
        return done

    def at_rest(self) -> bool:
        """Whether nothing is in hand, and nothing will be due for a moment.

        Killed between a publish and the note of it, an at-least-once entry would go out twice, under one task id.
        """
        now = self.store.now()
        return all(record.lease is None and record.due_at > now + 200 for record in self.records())

    def run(self) -> list[Row]:
        """The whole story."""
        self.start_beat("beat-a")
        if not self.watch(lambda: len(self.first_due) == len(INTERVALS), PATIENCE):
            raise SystemExit(f"beat-a does not start; see {DIRECTORY / 'beat-a.log'}")
        self.start_beat("beat-b")
        self.start("worker", "worker", "-P", "solo", "-l", "info", "--without-gossip", "--without-mingle")
        self.watch(lambda: len(self.sent_by) == 2, PATIENCE)
        self.watch(lambda: False, SECONDS / 2)
        victim = max(self.sent_by, key=lambda beat: self.sent_by[beat])
        self.watch(self.at_rest, 5)
        self.stop(victim, signal.SIGKILL)
        self.screen.say(f"killed {victim} with SIGKILL; the other goes on alone", "bold red")
        self.watch(lambda: False, SECONDS / 2)
        for beat in ("beat-a", "beat-b"):
            self.stop(beat)
        until = self.store.now()
        self.look()
        self.screen.say("stopped the other beat; the worker finishes what it has")
        used_up = sum(record.counters.started for record in self.records())
        self.watch(lambda: len(set(worker_runs(RUNS))) >= used_up, PATIENCE)
        self.stop("worker")
        return tally(self.records(), self.first_due, INTERVALS, until, worker_runs(RUNS))


@contextlib.contextmanager
def demo() -> Iterator[Demo]:
    """A demo; in the end nothing of it runs any more."""
    story = Demo(Screen())
    try:
        yield story
    finally:
        for name in story.started:
            story.stop(name)
        story.store.close()


def main() -> int:
    with demo() as story:
        rows = story.run()
    story.screen.table(rows)
    good = all(row.good for row in rows) and len(rows) == len(INTERVALS)
    total = {name: sum(getattr(row, name) for row in rows) for name in ("expected", "used_up", "skipped", "open")}
    said = "{expected} expected = {used_up} used up + {skipped} skipped + {open} open".format(**total)
    missed, doubled = sum(row.missed for row in rows), sum(row.doubled for row in rows)
    print(f"  {said}, missed {missed}, doubled {doubled}: {'as promised' if good else 'NOT as promised'}")
    if good:
        shutil.rmtree(DIRECTORY)
    else:
        print(f"  the logs are in {DIRECTORY}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

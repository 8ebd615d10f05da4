"""One contestant of ``delay.py``, alone on the machine: loads tasks with ETAs, and watches them run."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from celery import Celery

from celery_pyncette import count_delayed
from tests.benchmarks.processes import cpu, rss

ROOT = Path(__file__).parents[2]
#: So many are sent first, with an ETA far away, to find out how long the load will take.
FIRST = 1_000
#: The first ETA comes so many seconds after the load at the earliest.
AHEAD = 8
#: What has not run when nothing has for so many seconds is lost.
PATIENCE = 60
Figures = dict[str, float]


@dataclass(frozen=True)
class Load:
    """``count`` tasks with ETAs spread over ``spread`` seconds."""

    count: int
    spread: int

    def etas(self, first: float) -> Iterator[float]:
        """Distinct, so that an ETA names its task."""
        return (round(first + number * self.spread / self.count, 5) for number in range(self.count))


class Trial:
    """What all contestants have in common; a subclass starts processes and loads.

    The tasks append ``eta lag redelivered`` to files ``runs-*`` of the directory.
    """

    def __init__(self, directory: Path, server: int, load: Load) -> None:
        """:param server: the process of the store, for its CPU."""
        self.directory, self.server, self.load = directory, server, load
        self.groups: dict[str, list[subprocess.Popen[bytes]]] = {}

    def begin(self) -> None:
        """Start what must run before the load."""

    def send(self) -> tuple[float, float]:
        """Load all tasks; seconds that it took, and the first ETA."""
        raise NotImplementedError

    def queued(self) -> int:
        """How many messages wait in the broker."""
        return 0

    def watch(self, seconds: float) -> None:
        """Called each second, with those since the first ETA."""

    def start(self, group: str, *command: str) -> subprocess.Popen[bytes]:
        env = {**os.environ, "PYTHONPATH": f"{self.directory}{os.pathsep}{ROOT}", "C_FORCE_ROOT": "1"}
        with (self.directory / f"log-{group}").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=self.directory, env=env, stdout=log, stderr=log, start_new_session=True
            )
        self.groups.setdefault(group, []).append(process)
        return process

    def run(self) -> Figures:
        try:
            self.begin()
            return self._measured()
        finally:
            running = [process for group in self.groups.values() for process in group]
            for process in running:
                process.terminate()
            for process in running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()

    def _measured(self) -> Figures:
        (worker,) = self.groups["worker"][:1]
        idle = rss(worker.pid)
        seconds, first = self.send()
        loaded = peak = rss(worker.pid)
        while time.time() < first:
            time.sleep(0.05)
        before, waiting, done, since = self._used(), 0, 0, time.time()
        while done < self.load.count and time.time() - since < PATIENCE:
            time.sleep(1)
            self.watch(time.time() - first)
            ran = len(self._lines())
            since = time.time() if ran > done else since
            done, peak, waiting = ran, max(peak, rss(worker.pid)), max(waiting, self.queued())
        used = {name: value - before[name] for name, value in self._used().items()}
        return {
            **self._lags(),
            "loaded per second": self.load.count / seconds,
            "worker MB before the load": idle / 1e6,
            "worker MB after the load": loaded / 1e6,
            "worker MB peak": peak / 1e6,
            "most that waited in the broker": waiting,
            **{f"CPU seconds of {name}": value for name, value in used.items()},
        }

    def _used(self) -> dict[str, float]:
        used = {name: cpu(*(process.pid for process in group)) for name, group in self.groups.items()}
        return {**used, "store": cpu(self.server)}

    def _lines(self) -> dict[str, list[str]]:
        """What the tasks have noted, by ETA."""
        found: dict[str, list[str]] = {}
        for path in self.directory.glob("runs-*"):
            for line in path.read_text().splitlines():
                found.setdefault(line.partition(" ")[0], []).append(line)
        return found

    def _lags(self) -> Figures:
        runs = [[line.split() for line in lines] for lines in self._lines().values()]
        lags = sorted(float(lag) for lines in runs for _, lag, *_ in lines) or [-1.0]
        again = sum(min(len(lines) - 1, sum(redelivered == "1" for *_, redelivered in lines)) for lines in runs)
        return {
            "lost": self.load.count - len(runs),
            "ran twice": sum(len(lines) - 1 for lines in runs) - again,
            "ran again because the broker redelivered": again,
            "lag p50 ms": statistics.median(lags) * 1000,
            "lag p99 ms": lags[int(len(lags) * 0.99)] * 1000,
            "lag max ms": lags[-1] * 1000,
        }


SOURCE = """\
import json, os, time
from pathlib import Path
from celery import Celery

HERE = Path(__file__).parent
app = Celery("proj")
app.config_from_object(json.loads((HERE / "conf.json").read_text()))
if app.conf.pyncette_delay_queue:
    from celery_pyncette import Pyncette

    Pyncette(app)
_log = None


@app.task(ignore_result=True)
def touch(eta):
    global _log
    if _log is None:
        _log = (HERE / f"runs-{os.getpid()}").open("a", buffering=1)
    redelivered = (touch.request.delivery_info or {}).get("redelivered")
    _log.write(f"{eta} {time.time() - eta:.4f} {int(bool(redelivered))}\\n")
"""


CELERY = ("-m", "celery", "-A", "proj")


class CeleryTrial(Trial):
    """Celery, with a worker of two processes; parked by this package (``store``) with two beats, or native."""

    #: More of the configuration.
    conf: ClassVar[dict[str, Any]] = {"broker_transport_options": {"visibility_timeout": 36_000}}

    def __init__(self, directory: Path, server: int, load: Load, broker: str, store: str | None) -> None:
        super().__init__(directory, server, load)
        self.broker, self.parked = broker, store is not None
        conf: dict[str, Any] = {
            **self.conf,
            "broker_url": broker,
            "pyncette_store_url": store,
            "pyncette_delay_queue": self.parked,
            "pyncette_delay_threshold": 1,
        }
        (directory / "conf.json").write_text(json.dumps(conf))
        (directory / "proj.py").write_text(SOURCE)
        self.conf_of_store = {"broker_url": broker, "pyncette_store_url": store}

    def _lags(self) -> Figures:
        """What never ran and is parked no more was handed to the broker."""
        figures = super()._lags()
        if not self.parked:
            return figures
        app = Celery("proj", set_as_current=False)
        app.conf.update(self.conf_of_store)
        return {"lost": figures.pop("lost"), "still parked": count_delayed(app=app).total - FIRST, **figures}

    def begin(self) -> None:
        for name in "ab" if self.parked else "":
            options = ("-S", "celery_pyncette.Scheduler", "-s", name, "--pidfile=", "-l", "warning")
            self.start("beats", *CELERY, "beat", *options)
        self.worker()
        time.sleep(8)

    def worker(self) -> None:
        self.start("worker", *CELERY, "worker", "-c", "2", "-l", "warning", "--without-gossip", "--without-mingle")

    def send(self) -> tuple[float, float]:
        code = "import proj, sys; from tests.benchmarks.delay_load import load; load(proj, *map(float, sys.argv[1:]))"
        done = self.start("sender", "-c", code, str(self.load.count), str(self.load.spread))
        assert done.wait(3600) == 0, (self.directory / "log-sender").read_text()[-2000:]
        seconds, first = json.loads((self.directory / "loaded").read_text())
        del self.groups["sender"]
        return float(seconds), float(first)

    def queued(self) -> int:
        from kombu import Connection

        with Connection(self.broker) as connection:
            try:
                return int(connection.default_channel.queue_declare("celery", passive=True).message_count)
            except connection.channel_errors:  # Redis knows no queue that is empty
                return 0


class PyncetteTrial(Trial):
    """The ``pyncette`` package on Redis: two processes that poll and run tasks themselves, ``execute_at``."""

    def __init__(self, directory: Path, server: int, load: Load, store: str) -> None:
        super().__init__(directory, server, load)
        self.store = store

    def begin(self) -> None:
        for _ in range(2):
            self.start("worker", "-m", "tests.benchmarks.delay_peer", "run", self.store)
        time.sleep(3)

    def send(self) -> tuple[float, float]:
        size = (str(self.load.count), str(self.load.spread))
        done = self.start("sender", "-m", "tests.benchmarks.delay_peer", "load", self.store, *size)
        assert done.wait(3600) == 0, (self.directory / "log-sender").read_text()[-2000:]
        seconds, first = json.loads((self.directory / "loaded").read_text())
        del self.groups["sender"]
        return float(seconds), float(first)

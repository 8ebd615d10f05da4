"""One run of ``dynamic.py``: load, start a beat, watch it idle and at work."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from celery import Celery

from celery_pyncette import schedule_tasks
from celery_pyncette.client.desk import desk_of
from tests.benchmarks.processes import cpu, rss
from tests.benchmarks.rounds import lags_heard

ROOT = Path(__file__).parents[2]
DAY = 86_400
#: Seconds that a beat is given before it is watched.
SETTLE = 15
SOURCE = """\
import json
from pathlib import Path
from celery import Celery

app = Celery("proj")
app.config_from_object(json.loads((Path(__file__).parent / "conf.json").read_text()))
"""
Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """See the options of ``dynamic.py``."""

    entries: int
    idle: int
    due: int
    seconds: int
    loaders: int = 1


def specs(prefix: str, dues: Iterator[float], first: int = 0) -> Iterator[dict[str, Any]]:
    """Daily entries, numbered from ``first``, due for the first time at ``dues`` (seconds).

    The argument is that time in milliseconds.
    """
    for number, due in enumerate(dues, first):
        yield {
            "task": "proj.send_digest",
            "name": f"{prefix}-{number}",
            "interval": DAY,
            "start": datetime.fromtimestamp(due, timezone.utc),
            "args": [round(due * 1000)],
        }


class Trial:
    """One store, one broker, one beat."""

    def __init__(self, directory: Path, broker: str, store: Any, sizes: Sizes) -> None:
        self.directory, self.broker, self.store, self.sizes = directory, broker, store, sizes
        self.conf = {"broker_url": broker, "pyncette_store_url": store.url, "result_expires": None}
        self.beat: subprocess.Popen[bytes] | None = None
        (directory / "proj.py").write_text(SOURCE)
        self.write()

    def write(self, **conf: Any) -> None:
        (self.directory / "conf.json").write_text(json.dumps({**self.conf, **conf}))

    def app(self, **conf: Any) -> Celery:
        app = Celery("proj", set_as_current=False)
        app.conf.update({**self.conf, "pyncette_store_timeout": 30, **conf})
        return app

    def run(self, *, load: bool = True, watch: bool = True) -> Figures:
        """The figures; sizes in MB, times in milliseconds."""
        figures: Figures = {}
        if load:
            self.start_beat()  # it founds the namespace
            self.close()
            before = self.store.size()
            loaded = self.load()
            size = self.store.size() - before
            figures["loaded per second"] = self.sizes.entries / loaded
            figures["store MB"], figures["bytes per entry"] = size / 1e6, size / self.sizes.entries
            sys.stderr.write(f"loaded: {figures}\n")
        if watch:
            self.start_beat()
            figures |= self.idle()
            sys.stderr.write(f"idle: {figures}\n")
            for together in (False, True):
                figures |= self.busy(together)
        return figures

    # --- the beat ---

    def start_beat(self) -> None:
        """Start it, and wait until it works."""
        log = self.directory / "beat.log"
        log.unlink(missing_ok=True)
        env = {**os.environ, "PYTHONPATH": f"{self.directory}{os.pathsep}{ROOT}"}
        own = ["-S", "celery_pyncette.Scheduler", "-s", "schedule", "--pidfile=", "-l", "info"]
        command = [sys.executable, "-m", "celery", "-A", "proj", "beat", *own]
        with log.open("wb") as out:
            self.beat = subprocess.Popen(command, cwd=self.directory, env=env, stdout=out, stderr=out)
        deadline = time.monotonic() + 60
        while "beat_started" not in log.read_text():
            if time.monotonic() > deadline or self.beat.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)

    def close(self) -> None:
        """Stop the beat."""
        if self.beat is not None:
            self.beat.terminate()
            self.beat.wait(20)
            self.beat = None

    # --- what is measured ---

    def load(self) -> float:
        """Seconds until all entries were scheduled."""
        self.start, began = time.time() + DAY, time.perf_counter()
        each = -(-self.sizes.entries // self.sizes.loaders)
        loaders = [
            multiprocessing.get_context("fork").Process(target=self._load, args=(number * each, each))
            for number in range(self.sizes.loaders)
        ]
        for loader in loaders:
            loader.start()
        for loader in loaders:
            loader.join()
            assert loader.exitcode == 0
        return time.perf_counter() - began

    def _load(self, first: int, count: int) -> None:
        step = DAY / self.sizes.entries
        count = min(count, self.sizes.entries - first)
        app = self.app()
        dues = (self.start + number * step for number in range(first, first + count))
        done = schedule_tasks(specs("digest", dues, first), app=app)
        assert done.created == count, done
        desk_of(app).close()

    def idle(self) -> Figures:
        """A beat that has nothing to send."""
        assert self.beat is not None
        time.sleep(SETTLE)
        before, began = cpu(self.beat.pid), time.perf_counter()
        time.sleep(self.sizes.idle)
        share = (cpu(self.beat.pid) - before) / (time.perf_counter() - began)
        return {"idle beat: % of a core": share * 100, "idle beat: MB": rss(self.beat.pid) / 1e6}

    def busy(self, together: bool) -> Figures:
        """So many due per second; evenly spread, or all at the beginning of the second."""
        assert self.beat is not None
        count = self.sizes.due * self.sizes.seconds
        start = float(int(time.time()) + 15 + count // 400)
        step = 1 / self.sizes.due
        dues = (start + (number // self.sizes.due if together else number * step) for number in range(count))
        done = schedule_tasks(specs(f"near-{int(together)}", dues), app=self.app())
        assert done.created == count
        assert time.time() < start - 1, "the load took too long"
        heard: Any = multiprocessing.Queue()
        listener = multiprocessing.Process(target=lags_heard, args=(self.broker, count, heard), daemon=True)
        listener.start()
        time.sleep(max(0.0, start - time.time() - 0.2))
        before, began = cpu(self.beat.pid), time.perf_counter()
        lags = sorted(heard.get(timeout=self.sizes.seconds + 120))
        share = (cpu(self.beat.pid) - before) / (time.perf_counter() - began)
        listener.join(10)
        assert len(lags) == count, f"{count - len(lags)} were not sent"
        what = f"{self.sizes.due} a second {'at once' if together else 'spread'}"
        return {
            f"{what}: lag p50 ms": lags[len(lags) // 2],
            f"{what}: lag p99 ms": lags[int(len(lags) * 0.99)],
            f"{what}: lag max ms": lags[-1],
            f"{what}: % of a core": share * 100,
            f"{what}: beat MB": rss(self.beat.pid) / 1e6,
        }

"""Many tasks with ETAs spread over a minute, parked and native: ``python -m tests.benchmarks.delay [--count 100000]``.

Over one Redis of its own: two beats (parked only), one worker of two processes. Lag is start minus ETA by this host's
clock; memory is the peak of the worker's main process, which is where Celery keeps ETAs.
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
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.support.own_redis import OwnRedis

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
    _log.write(f"{eta} {time.time() - eta:.4f}\\n")
"""
#: Sent so long before the first ETA at the latest, so that both have the whole load before it begins.
AHEAD = 15


class Trial:
    """One contestant, alone on the machine."""

    def __init__(self, directory: Path, base: str, parked: bool, count: int, spread: int) -> None:
        self.directory, self.parked, self.count, self.spread = directory, parked, count, spread
        conf = {
            "broker_url": f"{base}/0",
            "pyncette_store_url": f"{base}/1",
            "pyncette_delay_queue": parked,
            "pyncette_delay_threshold": 1,
            "worker_hijack_root_logger": False,
            "broker_transport_options": {"visibility_timeout": 36_000},
        }
        (directory / "conf.json").write_text(json.dumps(conf))
        (directory / "proj.py").write_text(SOURCE)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        env = {**os.environ, "PYTHONPATH": f"{self.directory}{os.pathsep}{root}"}
        log = (self.directory / f"log-{len(self.running)}").open("wb")
        args = [sys.executable, "-m", "celery", "-A", "proj", *command]
        self.running.append(subprocess.Popen(args, cwd=self.directory, env=env, stdout=log, stderr=log))
        return self.running[-1]

    def run(self) -> dict[str, Any]:
        try:
            return self._run()
        finally:
            for process in self.running:
                process.terminate()
            for process in self.running:
                process.wait(30)

    def _run(self) -> dict[str, Any]:
        if self.parked:
            for name in "ab":
                self.start("beat", "-S", "celery_pyncette.Scheduler", "-s", name, "--pidfile=", "-l", "warning")
            time.sleep(4)
        worker = self.start("worker", "-c", "2", "-l", "warning", "--without-gossip", "--without-mingle")
        time.sleep(4)
        enqueued, first = self._enqueue()
        peak = before = rss(worker.pid)
        deadline = first + self.spread + 900
        while len(self.lags()) < self.count and time.time() < deadline:
            peak = max(peak, rss(worker.pid))
            time.sleep(1)
        runs = self.runs()
        lags = sorted(lag for _, lag in runs)
        counted = Counter(eta for eta, _ in runs)
        return {
            "enqueue per second": round(self.count / enqueued),
            "ran": len(counted),
            "lost": self.count - len(counted),
            "ran twice": sum(many - 1 for many in counted.values()),
            "lag p50 ms": round(statistics.median(lags) * 1000) if lags else -1,
            "lag p99 ms": round(lags[int(len(lags) * 0.99)] * 1000) if lags else -1,
            "lag max ms": round(lags[-1] * 1000) if lags else -1,
            "worker MB after enqueue": round(before / 1e6),
            "worker MB peak": round(peak / 1e6),
        }

    def _enqueue(self) -> tuple[float, float]:
        """Send all of them from one process; ETAs are distinct, and so name the task."""
        sys.path.insert(0, str(self.directory))
        for known in ("proj",):
            sys.modules.pop(known, None)
        import proj  # type: ignore[import-not-found]

        started = time.time()
        first = started + AHEAD + self.count / 400
        for number in range(self.count):
            eta = round(first + number * self.spread / self.count, 4)
            proj.touch.apply_async((eta,), eta=datetime.fromtimestamp(eta, timezone.utc))
        seconds = time.time() - started
        sys.path.remove(str(self.directory))
        proj.app.close()
        return seconds, first

    def runs(self) -> list[tuple[str, float]]:
        lines = [line.split() for path in self.directory.glob("runs-*") for line in path.read_text().splitlines()]
        return [(eta, float(lag)) for eta, lag in lines]

    def lags(self) -> list[float]:
        return [lag for _, lag in self.runs()]


def rss(pid: int) -> int:
    """Resident memory of one process in bytes."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def trial(parked: bool, count: int, spread: int) -> dict[str, Any]:
    with OwnRedis() as server, tempfile.TemporaryDirectory() as directory:
        base = server.url.rsplit("/", 1)[0]
        return Trial(Path(directory), base, parked, count, spread).run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--spread", type=int, default=60, help="seconds over which the ETAs lie")
    parser.add_argument("--only", choices=["parked", "native"])
    options = parser.parse_args()
    results = {}
    for name in ("parked", "native"):
        if options.only in (None, name):
            results[name] = trial(name == "parked", options.count, options.spread)
            sys.stderr.write(f"{name}: {results[name]}\n")
    names = list(results)
    sys.stdout.write(f"| {options.count:,} ETAs over {options.spread} s | {' | '.join(names)} |\n")
    sys.stdout.write("|---|" + "--:|" * len(names) + "\n")
    for figure in next(iter(results.values())):
        sys.stdout.write(f"| {figure} | {' | '.join(f'{results[name][figure]:,}' for name in names)} |\n")


if __name__ == "__main__":
    main()

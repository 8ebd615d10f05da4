"""One measured round in a process of its own: ``python -m tests.benchmarks.rounds KIND CONTESTANT …`` prints JSON."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import sys
import time
from typing import Any

import redis

from tests.benchmarks.contestants import CONTESTANTS, QUEUE, dues_at, dues_together, queue_length

#: Entries that are not due in a round are due this much later, in milliseconds.
FAR = 86_400_000
INTERVAL = 3_600_000
#: After this many seconds without a tick the next one looks for what is due, as a beat's would.
POLL = 1.5


def overdue(contestant: Any, due: int, idle: int) -> dict[str, float]:
    """How fast are ``due`` overdue entries sent, among ``idle`` others?"""
    now = int(time.time() * 1000)
    contestant.load([*dues_at(now - 1000, due, due), *dues_at(now + FAR, idle, 1000)], INTERVAL)
    scheduler = contestant.scheduler()
    time.sleep(POLL)
    wall, cpu = time.perf_counter(), time.process_time()
    while queue_length(contestant.app) < due:
        scheduler.tick()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"per_second": due / wall, "cpu_us": cpu / due * 1e6, "rss_mb": _rss()}


def lag(contestant: Any, per_second: int, idle: int, seconds: int, together: bool = False) -> dict[str, float]:
    """How late is each of ``per_second`` entries a second, among ``idle`` others, and at what CPU?"""
    dues = dues_together if together else dues_at
    count = per_second * seconds
    now = int(time.time() * 1000)
    contestant.load(list(dues_at(now + FAR, idle, 1000)), FAR)
    start = int(time.time() * 1000) + 5_000 + count * 10
    contestant.load(list(dues(start, count, per_second)), FAR, idle)
    scheduler = contestant.scheduler()
    heard: Any = multiprocessing.Queue()
    listener = multiprocessing.Process(
        target=lags_heard, args=(contestant.app.conf.broker_url, count, heard), daemon=True
    )
    listener.start()
    while time.time() * 1000 < start - 500:
        time.sleep(max(0.0, min(0.2, scheduler.tick())))
    cpu = time.process_time()
    while time.time() * 1000 < start + seconds * 1000 + 1_000:
        time.sleep(max(0.0, min(1.0, scheduler.tick())))
    cpu = time.process_time() - cpu
    lags = sorted(heard.get(timeout=60))
    listener.join(timeout=10)
    return {
        "p50_ms": lags[len(lags) // 2],
        "p99_ms": lags[int(len(lags) * 0.99)],
        "cpu_percent": cpu / (seconds + 1.5) * 100,
        "rss_mb": _rss(),
    }


def lags_heard(broker: str, count: int, heard: Any) -> None:
    """Take messages off the queue, and note how long after its due time (its argument) each came."""
    import base64

    client = redis.Redis.from_url(broker, socket_timeout=None)
    lags: list[float] = []
    while len(lags) < count:
        taken = client.brpop([QUEUE], timeout=60)
        if taken is None:
            break
        now = time.time() * 1000
        body = json.loads(base64.b64decode(json.loads(taken[1])["body"]))
        lags.append(now - body[0][0])
    heard.put(lags)


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run one round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["overdue", "lag", "burst"])
    parser.add_argument("contestant", choices=sorted(CONTESTANTS))
    parser.add_argument("--broker", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--idle", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    contestant = CONTESTANTS[given.contestant](given.broker, given.store)
    if given.kind == "overdue":
        result = overdue(contestant, given.due, given.idle)
    else:
        result = lag(contestant, given.due, given.idle, given.seconds, together=given.kind == "burst")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

"""What middlewares cost per task: ``python -m tests.benchmarks.middlewares [--rounds 60]``.

One process does what a pool's child does: Celery's own tracer, made as a worker makes it, runs an empty task from a
message; no broker and no result backend, so that nothing hides what is measured. Applications that differ in their
middlewares alone take turns, a batch of messages each, in another order each round. What counts is the time per task
beyond that of the application without any.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from celery import Celery
from celery.app.trace import build_tracer, setup_worker_optimizations

from celery_pyncette import Pyncette
from celery_pyncette.middleware import TaskRun
from celery_pyncette.middleware.registry import attach
from celery_pyncette.worker import hooks

BARE = "none"
#: As a beat sends it for an entry that is not result-aware.
TICKET = {"v": 1, "ns": "proj", "store": "s", "key": "s:entry", "gen": "g", "due_at": 1_000_000, "attempt": 1}

Traced = Callable[[int], None]


def generator(run: TaskRun) -> Iterator[None]:
    """The shortest middleware."""
    yield


class Manager:
    """The same as a class."""

    __slots__ = ()

    def __init__(self, run: TaskRun) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


CONTESTANTS: dict[str, tuple[bool, list[tuple[Any, dict[str, Any]]]]] = {
    BARE: (True, []),
    "three empty generators": (True, [(generator, {})] * 3),
    "three empty generators, for scheduled runs alone": (True, [(generator, {"scheduled": True})] * 3),
    "three empty generators, for one entry": (True, [(generator, {"entries": "entry"})] * 3),
    "three empty generators, for other tasks": (True, [(generator, {"tasks": "other.*"})] * 3),
    "three empty classes": (True, [(Manager, {})] * 3),
}


def tracer(scheduled: bool, middlewares: list[tuple[Any, dict[str, Any]]]) -> Traced:
    """Runs so many messages of an app of its own."""
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.update(pyncette_store_url="memory://", task_ignore_result=True)
    extension = Pyncette()
    attach(app, extension._middlewares)

    @app.task(name="proj.work", shared=False)
    def work() -> None: ...

    for given, filters in middlewares:
        extension.middleware(given, **filters)
    app.finalize()
    hooks.install(app)
    setup_worker_optimizations(app)
    traced = build_tracer("proj.work", app.tasks["proj.work"], app=app)

    def run(count: int) -> None:
        for _ in range(count):
            task_id = str(uuid4())
            request = {"id": task_id, "task": "proj.work", "is_eager": False, "delivery_info": {}, "hostname": "w@host"}
            if scheduled:
                request.update(
                    periodic_task_name="entry", pyncette={**TICKET, "delivery": "at_least_once", "task_id": task_id}
                )
            traced(task_id, (), {}, request)

    return run


def measured(rounds: int, batch: int) -> dict[str, list[float]]:
    """Microseconds per task, by contestant, one figure a round."""
    hooks.connect()
    contestants = {name: tracer(*given) for name, given in CONTESTANTS.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run(batch)  # warm
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        names = list(contestants)
        random.shuffle(names)
        for name in names:
            began = time.process_time()
            contestants[name](batch)
            times[name].append((time.process_time() - began) / batch * 1e6)
    return times


def main() -> None:
    """A Markdown table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batch", type=int, default=1_000)
    given = parser.parse_args()
    times = measured(given.rounds, given.batch)
    bare = times[BARE]
    sys.stdout.write("| middlewares | CPU per task | beyond none | of three |\n|---|--:|--:|--:|\n")
    for name, figures in times.items():
        beyond = statistics.median(one - other for one, other in zip(figures, bare, strict=True))
        sys.stdout.write(f"| {name} | {statistics.median(figures):.1f} µs | {beyond:.1f} µs | {beyond / 3:.1f} µs |\n")


if __name__ == "__main__":
    main()

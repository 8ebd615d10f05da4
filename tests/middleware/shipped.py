"""What the tests of the shipped middlewares share."""

from __future__ import annotations

from typing import Any

from celery_pyncette.middleware import Dispatch
from celery_pyncette.occurrence import CurrentOccurrence, moment
from tests.worker.bench import Bench

DUE = "1970-01-01T00:16:40+00:00"
PREFIXED = {"pyncette.entry": "entry", "pyncette.due_at": DUE, "pyncette.attempt": 1}


def run(bench: Bench, does: Any, *, scheduled: bool = True, **options: Any) -> str | None:
    """Trace one run of a task that does this; the state that Celery gives it."""

    @bench.task(name="mine" if scheduled else "ordinary", **options)
    def mine() -> Any:
        return does()

    bench.ready()
    if not scheduled:
        return bench.trace(mine, {})
    bench.run(mine)
    return bench.state


def raising(error: Exception) -> Any:
    def does() -> None:
        raise error

    return does


def a_dispatch(bench: Bench) -> Dispatch:
    occurrence = CurrentOccurrence(entry="entry", due_at=moment(1_000_000), attempt=1, token=None)
    return Dispatch(bench.app, "mine", (), {}, {"headers": {}}, occurrence)

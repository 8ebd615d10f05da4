"""The schedulers that are compared: how to load entries into each, and how to let it tick."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Protocol

import redis
from celery import Celery
from celery.schedules import schedule

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record
from celery_pyncette.core.schedules import Every
from celery_pyncette.stores.protocol import Change

TASK = "bench.task"
QUEUE = "celery"


class Contestant(Protocol):
    """One scheduler on one broker, with dynamic interval entries."""

    name: str
    app: Celery

    def load(self, dues: list[int], interval_ms: int, first: int = 0) -> None:
        """Store one entry per due time (ms), numbered from ``first``; its argument is that time."""

    def scheduler(self) -> Any:
        """A scheduler that is ready to tick."""


class Pyncette:
    """This package, over the same Redis as the broker."""

    name = "celery-pyncette"

    def __init__(self, broker: str, store: str) -> None:
        self.app = Celery("bench", broker=broker)
        self.app.conf.update(pyncette_store_url=store, pyncette_namespace=f"bench-{new_id()}", beat_schedule={})
        self._scheduler: Any = None

    def scheduler(self) -> Any:
        """See ``Contestant``."""
        if self._scheduler is None:
            from celery_pyncette import Scheduler

            self._scheduler = Scheduler(self.app)
            self._scheduler.tick()
        return self._scheduler

    def load(self, dues: list[int], interval_ms: int, first: int = 0) -> None:
        """See ``Contestant``."""
        self.scheduler()
        store = self._scheduler.runtime.open_store()
        store.prepare(None)
        records = (_record(number, due, interval_ms) for number, due in enumerate(dues, first))
        while batch := [_creation(record) for record in islice(records, 500)]:
            store.apply(batch)
        store.close()


def _record(number: int, due: int, interval_ms: int) -> Record:
    spec = EntrySpec(
        name=f"entry-{number}",
        task=TASK,
        origin=Origin.DYNAMIC,
        schedule=Every.of_milliseconds(interval_ms),
        args=(due,),
    )
    anchor = Instant(due - interval_ms)
    return Record(
        key=Key(f"d:entry-{number}"),
        lane=Lane.ENTRIES,
        generation=new_id(),
        spec=spec,
        created_at=anchor,
        anchor=anchor,
        due_at=Instant(due),
    )


def _creation(record: Record) -> Change:
    return Change(key=record.key, expect=None, record=record, write_id=new_id())


class RedBeat:
    """celery-redbeat, as it comes."""

    name = "celery-redbeat"

    def __init__(self, broker: str, store: str) -> None:
        self.app = Celery("bench", broker=broker)
        self.app.conf.update(redbeat_redis_url=store, redbeat_lock_key=None, redbeat_key_prefix=f"{new_id()}:")

    def scheduler(self) -> Any:
        """See ``Contestant``."""
        from redbeat import RedBeatScheduler

        return RedBeatScheduler(self.app)

    def load(self, dues: list[int], interval_ms: int, first: int = 0) -> None:
        """See ``Contestant``."""
        from redbeat import RedBeatSchedulerEntry

        every = schedule(timedelta(milliseconds=interval_ms))
        for number, due in enumerate(dues, first):
            entry = RedBeatSchedulerEntry(f"entry-{number}", TASK, every, args=(due,), app=self.app)
            entry.last_run_at = datetime.fromtimestamp((due - interval_ms) / 1000, tz=timezone.utc)
            entry.save()


class Bare:
    """The least that a scheduler on Celery takes: `send_task` at each due time, from memory, safe from nothing."""

    name = "send_task alone"

    def __init__(self, broker: str, store: str) -> None:
        self.app = Celery("bench", broker=broker)
        self._dues: list[int] = []

    def load(self, dues: list[int], interval_ms: int, first: int = 0) -> None:
        """See ``Contestant``."""
        self._dues = sorted([*self._dues, *dues], reverse=True)

    def scheduler(self) -> Any:
        """See ``Contestant``."""
        return self

    def tick(self) -> float:
        """Send what is due; answers the seconds until the next is."""
        while self._dues and self._dues[-1] <= time.time() * 1000:
            self.app.send_task(TASK, args=(self._dues.pop(),))
        return self._dues[-1] / 1000 - time.time() if self._dues else 1.0


CONTESTANTS = {contestant.name: contestant for contestant in (Pyncette, RedBeat, Bare)}


def queue_length(app: Celery) -> int:
    """How many messages wait in the broker."""
    return int(redis.Redis.from_url(app.conf.broker_url).llen(QUEUE))


def dues_at(start: int, count: int, per_second: float) -> Iterator[int]:
    """Due times from ``start`` (ms), evenly spread."""
    return (start + int(number * 1000 / per_second) for number in range(count))


def dues_together(start: int, count: int, per_second: int) -> Iterator[int]:
    """Due times from ``start`` (ms), ``per_second`` of them at the same moment, as cron lines have them."""
    return (start + number // per_second * 1000 for number in range(count))

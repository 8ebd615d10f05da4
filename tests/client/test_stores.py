"""The same calls on every store, with a real beat's engine beside them, and many callers at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from celery import Celery

from celery_pyncette import (
    InvalidEntry,
    Policy,
    get_task,
    list_tasks,
    pause_task,
    resume_task,
    run_task_now,
    schedule_task,
    schedule_tasks,
    unschedule_task,
)
from celery_pyncette.client.desk import desk_of
from celery_pyncette.clock import SystemClock
from celery_pyncette.core.records import Lane
from celery_pyncette.engine.dispatcher import Dispatcher, Station
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.events import Observers
from celery_pyncette.runtime import Runtime
from celery_pyncette.settings import Settings
from celery_pyncette.stores.protocol import Founding, Query, Store
from celery_pyncette.testing.publisher import RecordingPublisher
from tests.client.setting import app_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def app(store_url: str, fresh_namespace: str) -> Iterator[Celery]:
    app = app_of(pyncette_store_url=store_url, pyncette_namespace=fresh_namespace, pyncette_store_timeout=10)
    store = Runtime(app).open_store()
    store.prepare(Founding())
    store.close()
    yield app
    desk_of(app).close()


class Beat:
    """A beat without Celery, over a store of its own."""

    def __init__(self, app: Celery) -> None:
        settings = Settings.of(app)
        self.store: Store = Runtime(app).open_store()
        self.store.prepare(None)
        self.publisher = RecordingPublisher()
        definitions = StaticDefinitions(app, settings, {})
        neighbours = Neighbours(self.store, "beat", {}, {})
        station = Station(settings.namespace, "here", "beat")
        self.dispatcher = Dispatcher(
            station, self.store, definitions, self.publisher, neighbours, Observers(), SystemClock()
        )

    def work(self) -> list[str]:
        before = len(self.publisher.arrived)
        while self.dispatcher.cycle(Lane.ENTRIES).claimed:
            pass
        return sorted(message.spec.name for message in self.publisher.arrived[before:])


@pytest.fixture
def beat(app: Celery) -> Iterator[Beat]:
    beat = Beat(app)
    yield beat
    beat.store.close()


def test_the_life_of_an_entry(app: Celery, beat: Beat):
    schedule_task("t", "once", execute_at=LONG_AGO, args=["ä", {"deep": [1.5, None]}], app=app)
    first = schedule_task("t", "daily", schedule="0 3 * * *", policy=Policy(delivery="at_most_once"), app=app)
    assert schedule_task("t", "daily", schedule="0 3 * * *", policy={"delivery": "at_most_once"}, app=app) == first
    assert beat.work() == ["once"]
    assert list(beat.publisher.arrived[0].spec.args) == ["ä", {"deep": [1.5, None]}]
    assert get_task("once", app=app) is None
    run_task_now("daily", app=app)
    assert beat.work() == ["daily"]
    assert pause_task("daily", "why", until=timedelta(hours=1), app=app).paused.note == "why"
    assert [task.name for task in list_tasks(paused=True, app=app).tasks] == ["daily"]
    assert resume_task("daily", "skip", app=app).paused is None
    assert unschedule_task("daily", app=app)
    assert not unschedule_task("daily", app=app)
    with pytest.raises(InvalidEntry, match="no such entry"):
        run_task_now("daily", app=app)


def test_many_entries_page_by_page(app: Celery, beat: Beat):
    names = [f"user-{number:04}" for number in range(700)]

    def entries(task: str):
        for name in names:
            yield {"task": task, "name": name, "interval": 3600, "args": [name]}

    assert schedule_tasks(entries("t"), batch=300, app=app).created == 700
    assert schedule_tasks(entries("t"), batch=300, app=app).unchanged == 700
    run_task_now(names[3], app=app)
    assert schedule_tasks(entries("u"), batch=300, app=app).replaced == 700
    assert beat.work() == [names[3]]
    assert beat.publisher.arrived[0].spec.task == "u"
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = list_tasks(limit=150, cursor=cursor, app=app)
        found += [task.name for task in page.tasks]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == names
    assert len(found) == len(set(found))


NAMES = [f"n{number}" for number in range(4)]
POLICIES = [None, Policy(result_aware=True, overlap="allow")]


def meddle(app: Celery, rng: random.Random) -> None:
    """Do anything to any of the names."""
    name = rng.choice(NAMES)
    try:
        match rng.randrange(6):
            case 0 | 1:
                policy, force = rng.choice(POLICIES), rng.random() < 0.2
                schedule_task("t", name, interval=rng.choice([0.01, 60, 61]), policy=policy, force=force, app=app)
            case 2:
                pause_task(name, "for a while", app=app)
            case 3:
                resume_task(name, rng.choice([None, "skip", "latest"]), app=app)
            case 4:
                unschedule_task(name, app=app)
            case _:
                run_task_now(name, app=app)
    except InvalidEntry as error:
        if "no such entry" not in str(error):
            raise


def test_callers_at_once_leave_the_last_word_and_no_orphan(app: Celery, beat: Beat):
    """Threads do anything to the same few names; in the end one of them says how it shall be."""

    def caller(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(25):
            meddle(app, rng)

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(caller, seed) for seed in range(4)]
        while not all(each.done() for each in callers):
            beat.dispatcher.cycle(Lane.ENTRIES)
    assert [each.exception() for each in callers] == [None] * 4
    unschedule_task(NAMES[0], app=app)
    last = [schedule_task("last", name, interval=3600, app=app) for name in NAMES[1:]]
    kept = [record for record in beat.store.scan(Query(prefix="d:")).records if not record.removed]
    assert [(record.key, record.generation) for record in kept] == [(state.key, state.generation) for state in last]
    children = [child for child in beat.store.scan(Query(prefix="o:", limit=1000)).records if not child.removed]
    assert {child.generation for child in children} <= {record.generation for record in kept}

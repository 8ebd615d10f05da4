"""A beat that takes over from stock beat goes on where that one stopped; see `tests/translate/test_shelve_seed`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import PersistentScheduler

from celery_pyncette import Scheduler
from celery_pyncette.clock import SystemClock
from celery_pyncette.core.instants import Instant, datetime_of
from celery_pyncette.translate import static_key

HOUR = 3_600_000
Beat = Callable[..., Scheduler]


@pytest.fixture
def ran_at() -> Instant:
    return Instant(SystemClock().now() - HOUR // 2)


@pytest.fixture
def beat(tmp_path: Path, ran_at: Instant) -> Iterator[Beat]:
    """Starts one; a stock beat has run the entry once, in the same directory."""
    started: list[Scheduler] = []
    url, path = f"memory://{secrets.token_hex(6)}", tmp_path / "celerybeat-schedule"
    entries = {"hourly": {"task": "t", "schedule": timedelta(hours=1)}}

    def app_of(**conf: Any) -> Celery:
        app = Celery("seeding", broker="memory://", set_as_current=False)
        app.conf.update(beat_schedule=entries, pyncette_store_url=url, **conf)
        return app

    stock = PersistentScheduler(app_of(), schedule_filename=str(path))
    stock.schedule["hourly"].last_run_at = datetime_of(ran_at)
    stock.close()

    def start(**conf: Any) -> Scheduler:
        scheduler = Scheduler(app_of(**conf), schedule_filename=str(path))
        started.append(scheduler)
        scheduler.tick()
        return scheduler

    yield start
    for scheduler in started:
        scheduler.close()


def due(beat: Scheduler) -> Instant:
    [record] = beat.runtime.open_store().fetch([static_key("hourly")]).records
    assert record is not None
    return record.due_at


def test_an_entry_is_due_after_its_last_run_there_and_that_is_said_once(
    beat: Beat, ran_at: Instant, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    first = beat()
    assert due(first) == ran_at + HOUR
    assert due(beat()) == ran_at + HOUR
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("seeded:")]
    assert len(said) == 1
    assert f" entries taken from {tmp_path}" in said[0]
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before, "for a way back"


def test_it_can_be_turned_off(beat: Beat, ran_at: Instant):
    assert due(beat(pyncette_seed=False)) >= ran_at + HOUR + HOUR // 2


def test_a_namespace_that_was_known_before_is_not_seeded(beat: Beat):
    first = beat(pyncette_seed=False)
    before = due(first)
    assert due(beat()) == before

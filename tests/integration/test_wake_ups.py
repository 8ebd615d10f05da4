"""A change that is due now is sent at once: the store wakes the beat, which would sleep for half a minute else."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pytest
from celery import Celery

from celery_pyncette import schedule_task
from celery_pyncette.client.desk import desk_of
from tests.integration.project import PATIENCE, Project
from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.support.wait import wait_until

pytestmark = pytest.mark.timeout(120)

POLL = 30
#: Far below the poll interval, and more than enough for a busy machine.
SOON = 10.0


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.store(name)) for name in ("postgresql", "redis")])
def project(request: pytest.FixtureRequest, tmp_path: Path, processes: Processes, redis_broker: Broker) -> Project:
    url = str(request.getfixturevalue(f"{request.param}_url"))
    conf = {"beat_schedule": {}, "pyncette_poll_interval": POLL, "pyncette_claim_time": 5}
    return Project(tmp_path, processes, redis_broker, url).write(**conf)


def client_of(project: Project) -> Celery:
    app = Celery("proj", set_as_current=False)
    app.conf.update(pyncette_store_url=project.store_url, pyncette_poll_interval=POLL, **project.broker.settings)
    return app


def test_beats_that_sleep_are_woken_and_end_at_once_when_they_are_told(project: Project):
    beats = [project.working_beat(), project.working_beat()]
    project.worker()
    app = client_of(project)
    schedule_task("proj.note", "far", interval=3600, app=app)
    for number in range(3):
        name = f"near-{number}"
        asked = time.monotonic()
        schedule_task("proj.note", name, execute_at=_now(), app=app)
        wait_until(partial(project.runs, name), SOON, beats[0].tail)
        assert time.monotonic() - asked < SOON
    assert not project.runs("far")
    assert len(project.runs()) == 3
    desk_of(app).close()
    for beat in beats:
        asked = time.monotonic()
        assert beat.terminate(10) == 0, beat.tail()
        assert time.monotonic() - asked < 3
        assert "Traceback" not in beat.text


def _now() -> datetime:
    return datetime.now(timezone.utc)


@pytest.mark.faults
def test_a_wake_up_that_is_lost_costs_one_poll_interval_and_not_the_run(project: Project):
    """The client is told not to call; the beat polls."""
    project.write_conf(beat_schedule={}, pyncette_poll_interval=3, pyncette_claim_time=5)
    beat = project.working_beat()
    project.worker()
    app = client_of(project)
    app.conf.pyncette_wake_up = "off"
    schedule_task("proj.note", "near", execute_at=_now(), app=app)
    wait_until(lambda: project.runs("near"), PATIENCE, beat.tail)
    desk_of(app).close()

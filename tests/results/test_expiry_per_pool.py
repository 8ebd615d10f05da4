"""Which ordinary workers look again at a message's expiry before they run it: docs/workers.md tells what follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from tests.results.ordinary import PATIENCE, Ordinary
from tests.support import brokers
from tests.support.process import Processes
from tests.support.wait import wait_until

pytestmark = [pytest.mark.full_matrix, pytest.mark.timeout(90), pytest.mark.broker("redis"), pytest.mark.store("redis")]

CAREFUL = {"task_acks_late": True, "worker_prefetch_multiplier": 1}


@pytest.mark.parametrize(
    ("pool", "conf", "too_late"),
    [
        ("prefork", {}, False),
        ("solo", {}, False),
        ("threads", {}, True),
        ("threads", CAREFUL, False),
    ],
    ids=["prefork", "solo", "threads", "threads careful"],
)
def test_a_message_that_expires_behind_another(
    tmp_path: Path,
    processes: Processes,
    redis_broker: brokers.Broker,
    redis_url: str,
    pool: str,
    conf: dict[str, object],
    too_late: bool,
) -> None:
    project = Ordinary(tmp_path, processes, redis_broker, f"sqlite:///{tmp_path}/store.sqlite3", redis_url)
    project.write({}, **conf)
    worker = project.worker("-c", "1", pool=pool)
    app = Celery("sender", backend=redis_url, set_as_current=False)
    app.conf.update(redis_broker.settings)
    with app.connection_for_write() as connection:
        headers = {name: {"periodic_task_name": name} for name in ("first", "second", "third")}
        app.send_task("ordinary.work", args=[3.0], headers=headers["first"], connection=connection)
        worker.wait_for_log("received", PATIENCE)
        app.send_task("ordinary.work", args=[0.0], headers=headers["second"], expires=1.5, connection=connection)
        app.send_task("ordinary.work", args=[0.0], headers=headers["third"], connection=connection)
    wait_until(lambda: project.lines("third", "end"), PATIENCE, worker.tail)
    assert bool(project.lines("second", "start")) is too_late
    app.close()

"""An ETA beyond the time that a broker waits for an acknowledgement: parked, and as Celery sends it, side by side."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.delay.field import PATIENCE, Field
from tests.support.own_rabbit import OwnRabbit
from tests.support.own_redis import OwnRedis
from tests.support.process import Processes
from tests.support.wait import wait_until


def native(field: Field) -> Any:
    """An app of the same project that parks nothing."""
    app = field.app()
    app.conf.pyncette_delay_queue = False
    return app


@pytest.mark.broker("redis")
@pytest.mark.store("redis")
@pytest.mark.parametrize(
    ("visible", "countdown"),
    [(1, 4), pytest.param(5, 30, marks=[pytest.mark.full_matrix, pytest.mark.timeout(120)])],
)
def test_an_eta_beyond_the_visibility_timeout(
    tmp_path: Path, processes: Processes, own_redis: OwnRedis, visible: int, countdown: int
):
    """The oldest trouble with ETAs: Redis hands the message out again and again while a worker waits with it."""
    base = own_redis.url.rsplit("/", 1)[0]
    field = Field(tmp_path, processes, {"broker_url": f"{base}/0"}, f"{base}/1", f"{base}/2")
    options = {"visibility_timeout": visible, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    field.write(broker_transport_options=options, worker_prefetch_multiplier=10)
    field.beat()
    workers = [field.worker() for _ in range(2)]
    for worker in workers:
        worker.wait_for_log("ready", PATIENCE)
    parked, plain = (
        app.tasks["proj.add"].apply_async((1,), countdown=countdown) for app in (field.app(), native(field))
    )
    field.settle(countdown + 1.5)
    field.wait_for(1, task_id=parked.id)
    field.wait_for(2, task_id=plain.id)

    def received(result: Any) -> int:
        return sum(worker.text.count(f"[{result.id}] received") for worker in workers)

    assert received(plain) > 1
    assert received(parked) == 1
    assert len(field.runs(task_id=parked.id)) == 1


@pytest.mark.full_matrix
@pytest.mark.timeout(400)
@pytest.mark.needs("own-rabbitmq")
@pytest.mark.broker("rabbitmq")
@pytest.mark.store("redis")
def test_an_eta_beyond_the_consumer_timeout(tmp_path: Path, processes: Processes, own_redis: OwnRedis):
    """RabbitMQ looks once a minute for deliveries that are older than this, and closes the channel of their worker."""
    base = own_redis.url.rsplit("/", 1)[0]
    with OwnRabbit(settings="consumer_timeout = 60000") as rabbit:
        fields, results, workers = {}, {}, {}
        for number, kind in enumerate(("parked", "native")):
            broker = {"broker_url": rabbit.url, "task_default_queue": kind, "task_acks_late": True}
            urls = (f"{base}/{2 * number}", f"{base}/{2 * number + 1}")
            fields[kind] = field = Field(tmp_path / kind, processes, broker, *urls).write()
            if kind == "parked":
                field.beat()
            workers[kind] = field.worker(name=kind)
            workers[kind].wait_for_log("ready", PATIENCE)
            app = field.app() if kind == "parked" else native(field)
            results[kind] = app.tasks["proj.add"].apply_async((1,), countdown=180)
        due = time.time() + 180
        workers["native"].wait_for_log("PRECONDITION_FAILED.*timed out", 150)
        wait_until(fields["parked"].runs, due - time.time() + PATIENCE, processes.tails, every=0.5)
        assert results["parked"].get(timeout=PATIENCE) == 1
        (run,) = fields["parked"].runs()
        assert run["at"] >= due - 1
        assert workers["parked"].alive
        assert "PRECONDITION_FAILED" not in workers["parked"].text
        assert workers["parked"].text.count("received") == 1

"""Parked messages with a policy among real processes: repeated until they have run, or succeeded."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from celery_pyncette import delayed
from tests.delay.field import PATIENCE, Field
from tests.support.own_redis import OwnRedis
from tests.support.process import Process, Processes
from tests.support.wait import wait_until

pytestmark = [pytest.mark.timeout(150), pytest.mark.broker("redis"), pytest.mark.store("redis")]


@pytest.fixture
def field(tmp_path: Path, processes: Processes, own_redis: OwnRedis) -> Field:
    base = own_redis.url.rsplit("/", 1)[0]
    return Field(tmp_path, processes, {"broker_url": f"{base}/0"}, f"{base}/1", f"{base}/2").write(
        pyncette_claim_time=2
    )


def over(field: Field, app: Any) -> None:
    wait_until(lambda: delayed.count_delayed(app=app).total == 0, PATIENCE, field.processes.tails, every=0.1)


def test_retried_until_it_succeeds_or_is_given_up_under_one_id(field: Field):
    field.beat()
    app = field.app()
    field.worker("-c", "1", package=True)
    policy = {"result_aware": True, "on_failure": "retry", "max_attempts": 3, "backoff": 0.2}
    mended = app.tasks["proj.flaky"].apply_async((2,), countdown=0.5, pyncette_policy=policy)
    hopeless = app.tasks["proj.flaky"].apply_async((9,), pyncette_policy=policy)
    once = app.tasks["proj.flaky"].apply_async((9,), pyncette_policy={"result_aware": True})
    over(field, app)
    assert [len(field.runs(task_id=one.id)) for one in (mended, hopeless, once)] == [3, 3, 1]
    assert (mended.state, hopeless.state, once.state) == ("SUCCESS", "FAILURE", "FAILURE")
    assert mended.get() == "done"


@pytest.mark.full_matrix
def test_a_retry_of_celery_goes_on_with_the_same_run(field: Field):
    field.beat()
    app = field.app()
    field.worker("-c", "1", package=True)
    policy = {"result_aware": True, "on_failure": "retry", "start_within": 30}
    result = app.tasks["proj.again"].apply_async((1,), pyncette_policy=policy)
    over(field, app)
    assert result.state == "SUCCESS"
    assert [run["retries"] for run in field.runs(task_id=result.id)] == [0, 1, 2]


@pytest.mark.full_matrix
def test_a_worker_that_dies_in_the_middle_of_it_is_followed_by_another(field: Field):
    field.write(pyncette_lease=3)
    field.beat()
    app = field.app()
    worker = field.worker("-c", "1", package=True, pool="prefork")
    plain = app.tasks["proj.slow"].apply_async((6,), countdown=0.5)
    field.wait_for(1, task_id=plain.id)
    worker.kill_group()
    worker = field.worker("-c", "1", package=True, pool="prefork", name="second")
    followed = app.tasks["proj.slow"].apply_async((4,), countdown=0.5, pyncette_policy={"result_aware": True})
    field.wait_for(1, task_id=followed.id)
    worker.kill_group()
    field.worker("-c", "1", package=True, pool="prefork", name="third")
    over(field, app)
    assert len(field.runs(task_id=followed.id)) == 2
    assert followed.state == "SUCCESS"
    assert len(field.runs(task_id=plain.id)) == 1, "acknowledged when it began, and gone with its worker"


def stop(worker: Process) -> None:
    os.killpg(worker.pid, signal.SIGSTOP)


def blocked(client: Any) -> bool:
    """Whether a worker waits for the next message of the broker."""
    return any("b" in each["flags"] and each["db"] == "0" and each["cmd"] == "brpop" for each in client.client_list())


@pytest.mark.full_matrix
@pytest.mark.parametrize("how", ["native", "parked", "followed"])
def test_redis_loses_the_message_that_it_hands_to_a_dying_worker(field: Field, how: str, own_redis: OwnRedis):
    """Redis takes it off the list with BRPOP; until kombu has noted that it has it, it is nowhere.

    So Celery's own loss, with late acknowledgement too, and whoever sends: what is parked is then the broker's. Only a
    message that is followed is sent again.
    """
    # The server waits for half a minute before it answers that the list is empty, instead of for a second.
    field.write(broker_transport_options={"polling_interval": 30}, task_acks_late=True, task_reject_on_worker_lost=True)
    field.write(pyncette_delay_queue=how != "native")
    if how != "native":
        field.beat()
    app = field.app()
    options: dict[str, Any] = {
        "native": {},
        "parked": {"countdown": 2},
        "followed": {"countdown": 2, "pyncette_policy": {"result_aware": True, "start_within": 3}},
    }
    worker = field.worker("-c", "1", package=how != "native", pool="prefork")
    worker.wait_for_log("ready", PATIENCE)
    with redis.Redis(port=own_redis.port) as client:
        wait_until(lambda: blocked(client), PATIENCE, "it waits in BRPOP")
        stop(worker)
        result = app.tasks["proj.add"].apply_async((1,), **options[how])
        wait_until(lambda: not blocked(client), PATIENCE, "a message is handed to it")
        assert (client.llen("celery"), client.hlen("unacked")) == (0, 0), "and it is nowhere"
    worker.kill_group()
    field.worker("-c", "1", package=how != "native", pool="prefork", name="next")
    last = app.tasks["proj.add"].apply_async((2,))
    assert last.get(timeout=PATIENCE) == 2, "what is sent later has run"
    if how == "followed":
        assert result.get(timeout=PATIENCE) == 1
    else:
        assert field.runs(task_id=result.id) == []

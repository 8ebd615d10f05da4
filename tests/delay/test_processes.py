"""The delay queue among real processes, over Redis: what callers see, what workers get, what survives."""

from __future__ import annotations

import itertools
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

from celery_pyncette import delayed
from tests.delay.field import PATIENCE, Field
from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis
from tests.support.process import Processes
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.full_matrix,
    pytest.mark.timeout(150),
    pytest.mark.broker("redis"),
    pytest.mark.store("redis"),
]
WAIT = 3


@pytest.fixture
def field(tmp_path: Path, processes: Processes, own_redis: OwnRedis) -> Field:
    return over(own_redis, tmp_path, processes)


def over(server: OwnRedis, directory: Path, processes: Processes) -> Field:
    """Broker, result backend and store are three databases of one server."""
    base = server.url.rsplit("/", 1)[0]
    return Field(directory, processes, {"broker_url": f"{base}/0"}, f"{base}/1", f"{base}/2").write()


def test_every_kind_of_call_to_a_plain_worker(field: Field):
    field.beat()
    field.write(task_create_missing_queues=True)
    app = field.app()
    queue, other = app.conf.task_default_queue, f"{app.conf.task_default_queue}-other"
    field.worker("-Q", f"{queue},{other}")
    add, length, fail, mend = (app.tasks[f"proj.{name}"] for name in ("add", "length", "fail", "mend"))
    sent_at = time.time()
    eta = datetime.now(timezone.utc) + timedelta(seconds=WAIT)
    results: dict[str, Any] = {
        "countdown": add.apply_async((1, 2), countdown=WAIT),
        "eta": add.apply_async((2, 2), eta=eta, headers={"mine": 1}),
        "queue": add.apply_async((3, 2), countdown=WAIT, queue=other),
        "priority": add.apply_async((4, 2), countdown=WAIT, priority=7, expires=600),
        "by name": app.send_task("proj.add", (5, 2), eta=eta),
        "pickle": length.apply_async(({1, 2, 3},), countdown=WAIT, serializer="pickle", compression="zlib"),
        "link": add.apply_async((6, 2), countdown=WAIT, link=mend.s("linked")),
        "link_error": fail.apply_async(countdown=WAIT, link_error=mend.si("failed")),
        "set": add.s(7, 2).set(countdown=WAIT).apply_async(),
        "chain": chain(add.s(8, 2), add.s(100)).apply_async(countdown=WAIT),
        "group": group(add.s(9, 1), add.s(9, 2)).apply_async(countdown=WAIT),
        "chord": chord([add.s(10, 1), add.s(10, 2)], app.tasks["proj.total"].s()).apply_async(countdown=WAIT),
    }
    assert len(delayed.list_delayed(app=app).messages) >= 13
    assert field.runs() == []
    values = {name: result.get(timeout=PATIENCE) for name, result in results.items() if name != "link_error"}
    assert values == {
        "countdown": 3,
        "eta": 4,
        "queue": 5,
        "priority": 6,
        "by name": 7,
        "pickle": 3,
        "link": 8,
        "set": 9,
        "chain": 110,
        "group": [10, 11],
        "chord": 23,
    }
    with pytest.raises(ValueError, match="no"):
        results["link_error"].get(timeout=PATIENCE)
    field.wait_for(2, "proj.mend")
    assert sorted(run["args"][-1] for run in field.runs("proj.mend")) == ["failed", "linked"]

    runs = {run["id"]: run for run in field.runs()}
    assert len(runs) == len(field.runs()), "something ran twice"
    by = {name: runs[result.id] for name, result in results.items() if name not in ("group", "chain", "chord")}
    assert by["queue"]["delivery"]["routing_key"] == other
    assert by["priority"]["delivery"]["priority"] == 7
    assert by["priority"]["expires"] is not None
    assert by["eta"]["headers"] == {"mine": 1}
    for name, run in by.items():
        assert run["eta"] is None, name
        assert WAIT - 0.1 < run["at"] - sent_at < WAIT + 20, name
    assert delayed.count_delayed(app=app).total == 0


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_worker_with_the_package_parks_what_tasks_send(field: Field, start: str):
    """Mid-chain countdowns, chord bodies, retries: there the worker is the caller."""
    field.write(worker_pool_start_method=start)
    field.beat()
    app = field.app()
    add, total, again = (app.tasks[f"proj.{name}"] for name in ("add", "total", "again"))
    field.worker("-c", "2", package=True, pool="prefork")
    second = chain(add.s(1, 1), add.s(2).set(countdown=WAIT)).apply_async()
    body = chord([add.s(1, 2), add.s(3, 4)], total.s().set(countdown=WAIT)).apply_async()
    retried = again.delay(WAIT)
    wait_until(lambda: delayed.count_delayed(app=app).total == 3, PATIENCE, field.processes.tails, every=0.1)
    parked = {message.task: message for message in delayed.list_delayed(app=app).messages}
    assert set(parked) == {"proj.add", "proj.total", "proj.again"}
    assert (parked["proj.again"].task_id, parked["proj.again"].retries) == (retried.id, 1)
    assert parked["proj.add"].task_id == second.id
    assert (second.get(timeout=PATIENCE), body.get(timeout=PATIENCE)) == (4, 10)
    assert retried.get(timeout=PATIENCE) == "done"
    tries = field.runs("proj.again")
    assert [run["retries"] for run in tries] == [0, 1, 2]
    assert all(later["at"] - earlier["at"] >= WAIT - 0.1 for earlier, later in itertools.pairwise(tries))
    assert {run["id"] for run in tries} == {retried.id}


def test_another_process_sees_moves_and_cancels(field: Field):
    field.beat()
    app = field.app()
    field.worker()
    add = app.tasks["proj.add"]
    kept, gone, moved = (add.apply_async((number,), countdown=3600) for number in range(3))
    listed = field.elsewhere(
        "import celery_pyncette.delayed as d; print(*(m.task_id for m in d.list_delayed(app=proj.app).messages))"
    )
    assert set(listed.split()) == {kept.id, gone.id, moved.id}
    assert (
        field.elsewhere(f"import celery_pyncette.delayed as d; print(d.cancel_delayed({gone.id!r}, app=proj.app))")
        == "True"
    )
    field.elsewhere(
        "import celery_pyncette.delayed as d; from datetime import timedelta;"
        f"assert d.move_delayed({moved.id!r}, timedelta(seconds=1), app=proj.app)"
    )
    assert moved.get(timeout=PATIENCE) == 2
    assert [message.task_id for message in delayed.list_delayed(app=app).messages] == [kept.id]
    assert [run["id"] for run in field.runs()] == [moved.id]


def test_revoked_with_no_worker_up_it_never_runs(field: Field):
    field.beat()
    app = field.app()
    add = app.tasks["proj.add"]
    revoked, other = (add.apply_async((number,), countdown=3600) for number in (1, 2))
    field.elsewhere(f"proj.app.control.revoke({revoked.id!r})")
    assert revoked.state == "REVOKED"
    assert delayed.move_delayed(revoked.id, timedelta(0), app=app) is None, "nothing is left to become due"
    assert delayed.move_delayed(other.id, timedelta(0), app=app) is not None
    wait_until(lambda: delayed.count_delayed(app=app).total == 0, PATIENCE, field.processes.tails, every=0.1)
    field.worker()
    assert other.get(timeout=PATIENCE) == 2
    assert [run["id"] for run in field.runs()] == [other.id]
    assert revoked.state == "REVOKED"


def test_expired_before_any_beat_could_send_it(field: Field):
    field.beat().terminate()
    app = field.app()
    late = app.tasks["proj.add"].apply_async((1,), countdown=1, expires=2)
    in_time = app.tasks["proj.add"].apply_async((2,), countdown=1, expires=600)
    field.settle(2.5)
    beat = field.beat(name="later")
    field.worker()
    assert in_time.get(timeout=PATIENCE) == 2
    wait_until(lambda: late.state == "REVOKED", PATIENCE, field.processes.tails)
    assert "reason deadline" in beat.text
    assert len(field.runs()) == 1


def test_it_survives_the_restart_of_everything(tmp_path: Path, processes: Processes, own_persistent_redis: OwnRedis):
    server = own_persistent_redis
    field = over(server, tmp_path, processes)
    beat, worker = field.beat(), field.worker()
    app = field.app()
    eta = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
    result = app.tasks["proj.add"].apply_async((20, 22), eta=eta)
    field.settle(1.5)  # appended to the file each second
    beat.terminate()
    worker.terminate()
    server.restart(crash=True)
    code = "import celery_pyncette.delayed as d; from datetime import timedelta;"
    code += f"print(d.get_delayed({result.id!r}, app=proj.app).eta);"
    code += f"d.move_delayed({result.id!r}, timedelta(0), app=proj.app)"
    assert field.elsewhere(code) == str(eta)
    field.beat(name="next")
    field.worker(name="next-worker")
    (run,) = field.wait_for(1)
    assert (run["id"], run["args"]) == (result.id, [20, 22])


def test_a_beat_is_killed_and_then_the_worker(field: Field):
    """Nothing is lost. A beat that dies between sending a chunk and noting it sends it again, never more than that.

    The worker is another matter: Redis takes a message off the list before kombu can note that it has it, and the one
    that was on its way to a dying worker is gone, whoever sent it.
    """
    options = {"visibility_timeout": 4, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    field.write(broker_transport_options=options, task_acks_late=True, pyncette_claim_time=3)
    beats = [field.beat(name=name) for name in "ab"]
    app = field.app()
    worker = field.worker("-c", "2", pool="prefork")
    first = time.time() + 12
    ids = {
        app.tasks["proj.add"].apply_async((number,), eta=datetime.fromtimestamp(first + number / 50, timezone.utc)).id
        for number in range(400)
    }
    field.wait_for(100)
    beats[0].kill()
    field.wait_for(200)
    worker.kill_group()
    field.worker("-c", "2", pool="prefork", name="next")
    wait_until(lambda: len({run["id"] for run in field.runs()}) >= 399, PATIENCE, field.processes.tails, every=0.2)
    wait_until(lambda: delayed.count_delayed(app=app).total == 0, PATIENCE, "everything is released", every=0.2)
    field.settle(1)
    runs = field.runs()
    assert {run["id"] for run in runs} <= ids
    assert len(runs) - len(ids) <= 50 + 3, "one chunk of the beat, and what the worker had in hand"


@pytest.mark.broker("rabbitmq")
def test_a_quorum_queue_of_rabbitmq(
    tmp_path: Path, processes: Processes, rabbitmq_broker: Broker, own_redis: OwnRedis, monkeypatch
):
    """Through the topic exchange and queue that the sender declared; priorities and expiry survive."""
    base = own_redis.url.rsplit("/", 1)[0]
    field = Field(tmp_path, processes, rabbitmq_broker.settings, f"{base}/1", f"{base}/2").write(
        task_default_queue_type="quorum",
        task_default_exchange=rabbitmq_broker.queue,
        task_default_exchange_type="topic",
        worker_detect_quorum_queues=True,
    )
    field.beat()
    field.worker()
    app = field.app()
    started = time.time()
    results = [
        app.tasks["proj.add"].apply_async((number,), countdown=delay, expires=600, priority=5)
        for number, delay in enumerate((0.5, 2, WAIT))
    ]
    assert [result.get(timeout=PATIENCE) for result in results] == [0, 1, 2]
    runs = field.runs()
    assert [run["id"] for run in runs] == [result.id for result in results]
    assert all(run["delivery"]["exchange"] == rabbitmq_broker.queue for run in runs)
    assert runs[-1]["at"] - started >= WAIT

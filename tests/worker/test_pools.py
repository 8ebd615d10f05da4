"""Gate, renewal, report and shutdown in each pool of a real worker."""

from __future__ import annotations

import pytest

from tests.support.wait import stays
from tests.worker.support import LEASE, PATIENCE, Workshop

pytestmark = [pytest.mark.full_matrix, pytest.mark.timeout(120)]

POOLS = {
    "prefork": ("prefork", {}),
    "spawn": ("prefork", {"worker_pool_start_method": "spawn"}),
    "threads": ("threads", {}),
    "solo": ("solo", {}),
    "gevent": ("gevent", {}),
}


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest, workshop: Workshop) -> str:
    if request.param == "gevent":
        pytest.importorskip("gevent")
    name, conf = POOLS[request.param]
    workshop.write(**conf)
    return name


def test_a_run_is_started_kept_alive_and_reported_and_its_copies_are_refused(workshop: Workshop, pool: str):
    worker = workshop.worker(pool, "-c", "2")
    long = workshop.run("long", 1.6 * LEASE / 1000)
    workshop.began(long)
    short = workshop.run("short")
    copy = workshop.send(long, 0.0)
    workshop.reported(long, "succeeded")
    workshop.reported(short, "succeeded")
    workshop.until(lambda: f"start_refused: proj.work[{copy}]" in worker.text, "the copy is refused")
    assert len(workshop.said("began", long.task_id)) == 1
    began = workshop.said("began", long.task_id)[0]
    assert began["occurrence"][:3] == ["entry", "1970-01-01T00:16:40+00:00", 1]
    run = workshop.record(long).run
    assert run is not None
    assert run.token == began["occurrence"][3]
    assert run.starts == 1


def test_a_worker_that_is_told_to_stop_keeps_the_lease_until_the_task_has_ended(workshop: Workshop, pool: str):
    worker = workshop.worker(pool, "-c", "2")
    ticket = workshop.run("long", 1.6 * LEASE / 1000)
    workshop.began(ticket)
    worker.signal(15)

    def kept() -> bool:
        record = workshop.record(ticket)
        assert record.run is not None
        return record.run.outcome is not None or (
            record.lease is not None and record.lease.until > workshop.store.now()
        )

    stays(kept, 1.6 * LEASE / 1000, "the lease ended before the task", every=0.1)
    workshop.reported(ticket, "succeeded")
    assert worker.wait(PATIENCE) == 0
    assert workshop.said("ended", ticket.task_id)
    assert workshop.present() == []


def test_a_worker_says_that_it_lives(workshop: Workshop, pool: str):
    workshop.worker(pool)
    workshop.until(workshop.present, "presence")
    (present,) = workshop.present()
    assert present.data is not None
    assert present.data["kind"] == "worker"
    assert present.data["queues"] == [workshop.broker.queue]
    assert present.lease is not None
    assert 50_000 < present.lease.until - workshop.store.now() <= 60_000


def test_ordinary_tasks_run_as_ever(workshop: Workshop, pool: str):
    workshop.worker(pool)
    ordinary = workshop.send({})
    workshop.until(lambda: workshop.said("ended", ordinary), "an ordinary task")
    assert workshop.said("began", ordinary)[0]["occurrence"] is None

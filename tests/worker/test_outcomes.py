"""The table of outcomes, in one real worker whose pool forks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis
from tests.support.process import Process, Processes
from tests.worker.conftest import empty
from tests.worker.support import EXTENSION, PATIENCE, Workshop, a_record, a_ticket, put

pytestmark = [pytest.mark.full_matrix, pytest.mark.timeout(90)]

MORE = """
def task(**options):
    return app.task(bind=True, **options)


@task()
def raises(self):
    say("began", self.request)
    raise ValueError("so")


@task(max_retries=2)
def retries(self, times=1, countdown=0.1):
    say("began", self.request, retries=self.request.retries)
    if self.request.retries < times:
        raise self.retry(countdown=countdown)


@task(autoretry_for=(ValueError,), retry_backoff=False, default_retry_delay=0.1)
def again_by_itself(self):
    say("began", self.request, retries=self.request.retries)
    if self.request.retries < 1:
        raise ValueError("so")


@task()
def ignores(self):
    raise Ignore()


@task()
def rejects(self):
    raise Reject("so", requeue=False)


@task(acks_late=True)
def requeues(self):
    began = HERE / "requeued"
    say("began", self.request)
    if not began.exists():
        began.touch()
        raise Reject("so", requeue=True)


@task(time_limit=0.5)
def hard(self):
    say("began", self.request)
    time.sleep(30)


@task(soft_time_limit=0.5)
def soft(self):
    time.sleep(30)


@task()
def dies(self, how="kill"):
    say("began", self.request)
    if how == "kill":
        os.kill(os.getpid(), 9)
    elif how == "exit":
        os._exit(3)
    raise SystemExit(3)


@task(acks_late=True, reject_on_worker_lost=True)
def dies_again(self):
    say("began", self.request)
    os.kill(os.getpid(), 9)


@task()
def replaces(self, by):
    say("replaces", self.request)
    if by == "chain":
        raise self.replace(later.si() | later.si())
    raise self.replace(app.tasks["proj." + by].si())


@task()
def later(self, *args):
    from celery_pyncette import current_occurrence

    say("later", self.request, occurrence=current_occurrence() is not None)
    return 1


@task(ignore_result=True)
def forgets(self):
    say("began", self.request)
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, quiet_redis: OwnRedis) -> Iterator[Workshop]:
    directory: Path = tmp_path_factory.mktemp("outcomes")
    processes = Processes(directory)
    workshop = Workshop(directory, processes, Broker("redis", quiet_redis.url, "q-outcomes"), quiet_redis.url)
    workshop.write(EXTENSION + MORE, result_backend=quiet_redis.url, task_track_started=True)
    try:
        yield workshop
    finally:
        processes.end()
        empty(quiet_redis)


@pytest.fixture(scope="module")
def worker(workshop: Workshop) -> Process:
    return workshop.worker("prefork", "-c", "4", "-E")


def ended(workshop: Workshop, name: str, *args: Any, outcome: str, reason: str | None = None, **changes: Any) -> Any:
    """Run a task of this module, and wait for its outcome."""
    ticket = workshop.run(f"{name}-{len(workshop.said())}-{args}", *args, task=f"proj.{name}", **changes)
    run = workshop.reported(ticket, outcome).run
    assert run is not None
    assert run.reason == reason
    assert workshop.record(ticket).lease is None
    return ticket


def test_raised(workshop: Workshop, worker: Process):
    ended(workshop, "raises", outcome="failed")


def test_returned_without_a_result(workshop: Workshop, worker: Process):
    ended(workshop, "forgets", outcome="succeeded")


def test_soft_time_limit(workshop: Workshop, worker: Process):
    ended(workshop, "soft", outcome="failed")


def test_hard_time_limit(workshop: Workshop, worker: Process):
    ended(workshop, "hard", outcome="failed")


@pytest.mark.parametrize("how", ["kill", "exit", "SystemExit"])
def test_the_pools_child_is_lost(workshop: Workshop, worker: Process, how: str):
    ended(workshop, "dies", how, outcome="abandoned")


def test_a_message_that_goes_back_when_the_child_is_lost_is_refused(workshop: Workshop, worker: Process):
    ticket = ended(workshop, "dies_again", outcome="abandoned")
    workshop.until(lambda: f"start_refused: proj.dies_again[{ticket.task_id}]" in worker.text, "it is refused")
    assert len(workshop.said("began", ticket.task_id)) == 1


def test_self_retry_is_the_same_run(workshop: Workshop, worker: Process):
    ticket = ended(workshop, "retries", 2, outcome="succeeded")
    assert [line["retries"] for line in workshop.said("began", ticket.task_id)] == [0, 1, 2]
    run = workshop.record(ticket).run
    assert run is not None
    assert (run.attempt, run.starts, run.retries) == (1, 3, 2)


def test_retries_that_are_exhausted(workshop: Workshop, worker: Process):
    ended(workshop, "retries", 9, outcome="failed")


def test_autoretry_for(workshop: Workshop, worker: Process):
    ticket = ended(workshop, "again_by_itself", outcome="succeeded")
    assert [line["retries"] for line in workshop.said("began", ticket.task_id)] == [0, 1]


def test_a_retry_waits_open_until_its_eta_and_a_while(workshop: Workshop, worker: Process):
    ticket = workshop.run("waits", 1, 3600, task="proj.retries")
    workshop.until(lambda: (run := workshop.record(ticket).run) is not None and run.retries == 1, "the retry is told")
    run = workshop.record(ticket).run
    assert run is not None
    assert run.is_open
    due = workshop.store.now() + 3_600_000 + ticket.start_within
    assert due - 20_000 < run.until <= due


def test_ignored_and_rejected(workshop: Workshop, worker: Process):
    ended(workshop, "ignores", outcome="failed", reason="ignored")
    ended(workshop, "rejects", outcome="failed", reason="rejected")


def test_requeued(workshop: Workshop, worker: Process):
    ticket = ended(workshop, "requeues", outcome="succeeded")
    assert len(workshop.said("began", ticket.task_id)) == 2


def test_replaced(workshop: Workshop, worker: Process):
    ticket = ended(workshop, "replaces", "work", outcome="succeeded")
    assert len(workshop.said("ended", ticket.task_id)) == 1, "reported only when the replacement had ended"
    assert workshop.said("began", ticket.task_id)[-1]["occurrence"] is not None, "which is part of the same run"
    run = workshop.record(ticket).run
    assert run is not None
    assert (run.attempt, run.starts) == (1, 2)


def test_replaced_by_what_fails_retries_or_is_lost(workshop: Workshop, worker: Process):
    ended(workshop, "replaces", "raises", outcome="failed")
    ended(workshop, "replaces", "retries", outcome="succeeded")
    ended(workshop, "replaces", "dies", outcome="abandoned")


def test_replaced_by_a_chain(workshop: Workshop, worker: Process):
    ticket = ended(workshop, "replaces", "chain", outcome="succeeded")
    workshop.until(lambda: workshop.said("later", ticket.task_id), "its last task")
    assert workshop.said("later", ticket.task_id)[0]["occurrence"] is False


def test_revoked_while_it_runs(workshop: Workshop, worker: Process):
    ticket = workshop.run("revoked-1", 30)
    workshop.began(ticket)
    workshop.app.control.revoke(ticket.task_id, terminate=True)
    workshop.reported(ticket, "revoked")
    assert not workshop.said("ended", ticket.task_id)


def test_revoked_before_it_starts(workshop: Workshop, worker: Process):
    ticket = a_ticket("revoked-2")
    put(workshop.store, a_record(ticket))
    workshop.app.control.revoke(ticket.task_id)
    workshop.until(lambda: ticket.task_id in worker.text, "the worker knows", PATIENCE)
    workshop.send(ticket)
    workshop.reported(ticket, "revoked")
    assert not workshop.said("began", ticket.task_id)


def test_a_task_that_the_worker_does_not_know(workshop: Workshop, worker: Process):
    ended(workshop, "unheard_of", outcome="failed", reason="unknown task")


def test_a_chain_ends_with_its_first_task(workshop: Workshop, worker: Process):
    ticket = a_ticket("chain")
    put(workshop.store, a_record(ticket))
    later = workshop.app.signature("proj.later").set(task_id="the-last")
    workshop.send(ticket, 0.0, chain=[later])
    workshop.reported(ticket, "succeeded")
    workshop.until(lambda: workshop.said("later", "the-last"), "the rest of the chain")
    assert workshop.said("later", "the-last")[0]["occurrence"] is False


def test_members_of_a_group_copy_the_ticket_and_run_as_ordinary_tasks(workshop: Workshop, worker: Process):
    from celery import group

    ticket = a_ticket("group")
    put(workshop.store, a_record(ticket))
    members = [workshop.app.signature("proj.later", args=(n,)) for n in range(3)]
    group(members, app=workshop.app).apply_async(task_id=ticket.task_id, headers={"pyncette": ticket.as_header()})
    workshop.until(lambda: len(workshop.said("later")) >= 3, "all of them ran")
    assert workshop.record(ticket).run.starts == 0  # type: ignore[union-attr]


def test_a_copy_is_shown_as_revoked_and_not_as_received_for_ever(workshop: Workshop, worker: Process):
    from celery.events import EventReceiver

    ticket = ended(workshop, "forgets", outcome="succeeded")
    seen: dict[str, list[str]] = {}

    def note(event: dict[str, Any]) -> None:
        seen.setdefault(str(event.get("uuid")), []).append(event["type"])

    with workshop.app.connection_for_read() as connection:
        receiver = EventReceiver(connection, handlers={"*": note}, app=workshop.app)
        with receiver.consumer_context(wakeup=False) as (listening, _, _):

            def heard(what: Callable[[], bool]) -> bool:
                try:
                    listening.drain_events(timeout=0.2)
                except TimeoutError:
                    return False
                return what()

            def listens() -> bool:
                """Redis keeps no event for who listens later, and kombu subscribes with the first look for messages."""
                workshop.send({}, task="proj.forgets")
                return heard(lambda: bool(seen))

            workshop.until(listens, "any event")
            workshop.send(ticket, task="proj.forgets")
            workshop.until(lambda: heard(lambda: "task-revoked" in seen.get(ticket.task_id, [])), "the event")
    assert seen[ticket.task_id][-1] == "task-revoked"


def test_a_worker_that_is_killed_leaves_its_lease_to_end_by_itself(workshop: Workshop, worker: Process):
    """The last test of this module, because it ends the worker."""
    ticket = workshop.run("killed", 60)
    workshop.began(ticket)
    child = workshop.said("began", ticket.task_id)[0]["pid"]
    worker.kill()
    record = workshop.record(ticket)
    assert record.run is not None
    assert record.run.is_running
    assert record.lease is not None
    assert record.lease.until - workshop.store.now() <= ticket.lease_ms

    def gone() -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{child}/stat").read_text().split(")")[1].split()[0] == "Z"

    workshop.until(gone, "the child is gone with it")

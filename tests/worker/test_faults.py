"""Workers, children, brokers and stores that stop, hang, die or come back, while a run goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kombu import Connection

from celery_pyncette.core.records import Ticket, Write
from celery_pyncette.stores.writes import change_of
from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis
from tests.support.process import Processes
from tests.support.proxy import TcpProxy
from tests.support.wait import stays
from tests.worker.support import EXTENSION, LEASE, PATIENCE, Workshop, a_record, a_ticket, put

pytestmark = [pytest.mark.faults, pytest.mark.full_matrix, pytest.mark.timeout(120)]

MORE = (
    EXTENSION
    + '''
@app.task(bind=True)
def holds_the_gil(self, seconds):
    import ctypes

    say("began", self.request)
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    say("ended", self.request)


@app.task(bind=True, acks_late=True)
def work_late(self, seconds=0.0):
    say("began", self.request)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
    say("ended", self.request)


@app.task(bind=True)
def asks(self, seconds):
    """Ask all the time whether the lease is lost."""
    from celery_pyncette import LeaseLost, current_occurrence, heartbeat, lease_lost

    say("began", self.request, token=current_occurrence().token)
    end = time.monotonic() + seconds
    lost = False
    while time.monotonic() < end:
        time.sleep(0.05)
        lost = lost or lease_lost()
    try:
        heartbeat()
    except LeaseLost:
        say("LeaseLost", self.request)
    say("ended", self.request, lost=lost)


@app.task(bind=True)
def beats(self, seconds, silence):
    from celery_pyncette import LeaseLost, heartbeat

    say("began", self.request)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)
        heartbeat()
    say("silent", self.request)
    time.sleep(silence)
    try:
        heartbeat()
    except LeaseLost:
        say("LeaseLost", self.request)
        raise
    say("ended", self.request)
'''
)


def kept(workshop: Workshop, ticket: Ticket) -> bool:
    """Whether the lease of a running task has not ended."""
    record = workshop.record(ticket)
    assert record.run is not None
    assert record.run.is_running, "it goes on"
    return record.lease is not None and record.lease.until > workshop.store.now()


def take_over(workshop: Workshop, ticket: Ticket) -> None:
    """What a beat does to a run whose lease has ended."""
    record = workshop.record(ticket)
    assert record.run is not None
    again = replace(
        record.run, attempt=record.run.attempt + 1, started_at=None, nonce=None, token=None, worker=None, retries=0
    )
    write = Write(record=replace(record, run=again, lease=None))
    assert workshop.store.apply([change_of(record.key, record, write)]).written[0].verdict.value == "applied"


def test_a_child_that_hangs_keeps_its_lease(workshop: Workshop):
    workshop.write(MORE).worker("prefork", "-c", "1")
    ticket = workshop.run("hangs", 1.0)
    workshop.began(ticket)
    child = workshop.said("began", ticket.task_id)[0]["pid"]
    os.kill(child, signal.SIGSTOP)
    stays(lambda: kept(workshop, ticket), 1.5 * LEASE / 1000, every=0.1)
    os.kill(child, signal.SIGCONT)
    workshop.reported(ticket, "succeeded")


def test_a_child_that_holds_the_interpreters_lock_keeps_its_lease(workshop: Workshop):
    workshop.write(MORE).worker("prefork", "-c", "1")
    ticket = workshop.run("gil", 1.5 * LEASE / 1000, task="proj.holds_the_gil")
    workshop.began(ticket)
    stays(lambda: workshop.said("ended") or kept(workshop, ticket), 1.3 * LEASE / 1000, every=0.1)
    workshop.reported(ticket, "succeeded")


def pause_all(worker_pid: int, number: int) -> None:
    os.killpg(worker_pid, number)


@pytest.mark.parametrize("how", ["warn", "terminate"])
def test_a_worker_that_was_paused_for_longer_than_its_lease(workshop: Workshop, how: str):
    worker = workshop.write(MORE).worker("prefork", "-c", "1")
    ticket = workshop.run("paused", 2.5 * LEASE / 1000, task="proj.asks", on_lease_lost=how)
    workshop.began(ticket)
    pause_all(worker.pid, signal.SIGSTOP)
    workshop.until(lambda: workshop.record(ticket).ready_at <= workshop.store.now(), "its lease has ended")
    take_over(workshop, ticket)
    pause_all(worker.pid, signal.SIGCONT)
    if how == "terminate":
        child = workshop.said("began", ticket.task_id)[0]["pid"]
        workshop.until(lambda: not Path(f"/proc/{child}").exists(), "it is stopped", 4.0)
        assert not workshop.said("ended", ticket.task_id), "its user code has stopped"
    else:
        workshop.until(lambda: workshop.said("ended", ticket.task_id), "it goes on")
        assert workshop.said("ended", ticket.task_id)[0]["lost"] is True
        assert workshop.said("LeaseLost", ticket.task_id)
        workshop.until(lambda: "report_dropped" in worker.text, "its late report is refused")
    assert "lease_lost" in worker.text
    run = workshop.record(ticket).run
    assert run is not None
    assert run.attempt == 2
    assert run.outcome is None
    second = replace(ticket, attempt=2, task_id=f"{ticket.task_id}-2")
    workshop.send(second, 0.1, task="proj.asks")
    workshop.reported(ticket, "succeeded")
    assert workshop.said("began", second.task_id)[0]["token"] > workshop.said("began", ticket.task_id)[0]["token"]


def test_only_heartbeat_keeps_a_cooperative_lease_alive(workshop: Workshop):
    workshop.write(MORE).worker("prefork", "-c", "1")
    silence = 1.5 * LEASE / 1000
    ticket = workshop.run("beats", 1.5 * LEASE / 1000, silence, task="proj.beats", heartbeat="cooperative")
    workshop.began(ticket)
    stays(lambda: workshop.said("silent") or kept(workshop, ticket), 1.4 * LEASE / 1000, every=0.1)
    workshop.until(lambda: workshop.record(ticket).ready_at <= workshop.store.now(), "without it the lease ends")
    take_over(workshop, ticket)
    workshop.until(lambda: workshop.said("LeaseLost", ticket.task_id), "and the task is told")
    assert not workshop.said("ended", ticket.task_id)


def test_children_that_are_replaced_after_each_task_have_their_own_store(workshop: Workshop):
    workshop.write(MORE).worker("prefork", "-c", "2", "--max-tasks-per-child", "1")
    tickets = [workshop.run(f"n{number}", 0.1) for number in range(8)]
    for ticket in tickets:
        workshop.reported(ticket, "succeeded")
    assert len(workshop.said("began")) == 8


def test_a_broker_that_delivers_again_before_the_task_has_ended(workshop: Workshop):
    options = {"visibility_timeout": 1}
    workshop.write(MORE, broker_transport_options=options)
    first = workshop.worker("prefork", "-c", "2")
    second = workshop.worker("prefork", "-c", "2")
    ticket = workshop.run("again", 6.0, task="proj.work_late")
    workshop.began(ticket)

    def refused() -> bool:
        """Workers deliver again what was not acknowledged in time, each 10 s or each 100; here it is done at once."""
        with Connection(workshop.broker.url, transport_options=options) as connection, connection.channel() as channel:
            channel.qos.restore_visible(interval=1)
        return "start_refused" in first.text + second.text

    workshop.until(refused, "it was delivered again, and refused")
    assert not workshop.said("ended", ticket.task_id), "before it ended"
    workshop.reported(ticket, "succeeded")
    assert len(workshop.said("began", ticket.task_id)) == 1


@pytest.mark.parametrize("cut", ["early", "late"])
def test_a_broker_that_is_lost_and_comes_back(workshop: Workshop, cut: str, proxy_to: Callable[[str], TcpProxy]):
    proxy = proxy_to(workshop.broker.url)
    workshop.write(MORE, broker_url=proxy.through(workshop.broker.url))
    worker = workshop.worker("prefork", "-c", "2")
    task = "proj.work_late" if cut == "late" else "proj.work"
    ticket = workshop.run("cut", 1.5 * LEASE / 1000, task=task)
    workshop.began(ticket)
    proxy.cut()
    worker.wait_for_log("(?i)connection to broker lost|Connected to redis", PATIENCE, count=1)
    stays(lambda: workshop.said("ended") or kept(workshop, ticket), LEASE / 1000, every=0.1)
    workshop.reported(ticket, "succeeded")
    assert len(workshop.said("began", ticket.task_id)) == 1


def test_a_worker_that_is_shut_down_softly_keeps_its_lease_while_it_waits(workshop: Workshop):
    workshop.write(MORE, worker_soft_shutdown_timeout=2 * LEASE / 1000)
    worker = workshop.worker("prefork", "-c", "1")
    ticket = workshop.run("soft", 1.6 * LEASE / 1000)
    workshop.began(ticket)
    worker.signal(signal.SIGQUIT)
    stays(lambda: workshop.said("ended") or kept(workshop, ticket), 1.4 * LEASE / 1000, every=0.1)
    workshop.reported(ticket, "succeeded")


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo", "gevent"])
def test_a_worker_that_is_shut_down_cold_has_not_run_it_successfully(workshop: Workshop, pool: str):
    if pool == "gevent":
        pytest.importorskip("gevent")
    workshop.write(MORE)
    worker = workshop.worker(pool, "-c", "2")
    ticket = workshop.run("cold", 6.0, task="proj.work_late")
    workshop.began(ticket)
    worker.signal(signal.SIGQUIT)
    # Celery before 5.7 does not end a solo worker so: it raises within user code, which is what must be told.
    workshop.until(lambda: not worker.alive or workshop.outcome(ticket), "the end of the worker, or of the task")
    outcome = workshop.outcome(ticket)
    ended = bool(workshop.said("ended", ticket.task_id))
    assert (outcome == "succeeded") is ended, "succeeded only if the user code came to its end"


# --- the store is away ------------------------------------------------------------------------------------------------


@pytest.fixture
def shaky(tmp_path: Path, processes: Processes, quiet_broker: Broker, own_persistent_redis: OwnRedis) -> Workshop:
    """A workshop whose store can be killed."""
    return Workshop(tmp_path, processes, quiet_broker, own_persistent_redis.url)


def test_a_store_that_is_away_while_tasks_run(shaky: Workshop, own_persistent_redis: OwnRedis):
    worker = shaky.write(MORE, pyncette_store_timeout=1).worker("prefork", "-c", "3")
    long = shaky.run("long", 12.0, lease_ms=9_000)
    short = shaky.run("short", 3.0, lease_ms=20_000)
    killed = shaky.run("killed", 30.0, lease_ms=20_000)
    for ticket in (long, short, killed):
        shaky.began(ticket)
    own_persistent_redis.kill()
    os.kill(shaky.said("began", killed.task_id)[0]["pid"], signal.SIGKILL)
    shaky.until(lambda: shaky.said("ended", short.task_id), "it ended while the store was away")
    away = time.monotonic() + 2.0
    shaky.until(lambda: time.monotonic() > away, "for a while")
    own_persistent_redis.start()
    shaky.until(lambda: shaky.outcome(short) == "succeeded", "reported when it is back")
    shaky.until(lambda: shaky.outcome(killed) == "abandoned", "also what was lost meanwhile")
    shaky.reported(long, "succeeded")
    assert len(shaky.said("began")) == 3
    assert "lease_lost" not in worker.text


@pytest.mark.parametrize("late", [True, False], ids=["late", "early"])
def test_a_message_that_comes_while_the_store_is_away(shaky: Workshop, own_persistent_redis: OwnRedis, late: bool):
    worker = shaky.write(MORE, pyncette_store_timeout=1).worker("prefork", "-c", "1")
    first = shaky.run("first")
    shaky.reported(first, "succeeded")
    ticket = a_ticket("comes")
    task = "proj.work_late" if late else "proj.work"
    put(shaky.store, a_record(ticket, task))
    own_persistent_redis.kill()
    shaky.send(ticket, task=task)
    worker.wait_for_log("gate_store_down", PATIENCE)
    own_persistent_redis.start()
    if late:
        shaky.until(lambda: shaky.outcome(ticket) == "succeeded", "it is delivered again, and runs")
        assert len(shaky.said("began", ticket.task_id)) == 1
    else:
        shaky.run("next")
        shaky.until(lambda: len(shaky.said("ended")) == 2, "the next one runs")
        assert not shaky.said("began", ticket.task_id), "a beat will send it again"

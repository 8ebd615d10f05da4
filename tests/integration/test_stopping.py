"""A beat is told to stop, or stops answering."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.integration.project import PATIENCE, Project
from tests.support.brokers import Broker
from tests.support.process import Process
from tests.support.proxy import TcpProxy
from tests.support.wait import stays, wait_until

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.timeout(120)]

SLOW = """
from celery.signals import before_task_publish


@before_task_publish.connect
def slow(**_):
    if (HERE / "slow").exists():
        time.sleep(0.02)
"""


def stopped_within(beat: Process, seconds: float) -> None:
    """SIGTERM: exit status 0, and in time."""
    asked = time.monotonic()
    assert beat.terminate(15) == 0, beat.tail()
    assert time.monotonic() - asked < seconds


def test_a_beat_that_sleeps_ends_at_once(project: Project):
    project.write(beat_schedule={"hourly": {"task": "proj.note", "schedule": 3600.0}})
    beat = project.working_beat()
    stopped_within(beat, 3.0)
    assert "Traceback" not in beat.text, beat.tail()


@pytest.mark.parametrize(
    ("delivery", "kind"),
    [
        pytest.param("at_least_once", "redis", marks=pytest.mark.broker("redis")),
        pytest.param("at_most_once", "rabbitmq", marks=[pytest.mark.broker("rabbitmq"), pytest.mark.full_matrix]),
        pytest.param("at_least_once", "rabbitmq", marks=[pytest.mark.broker("rabbitmq"), pytest.mark.full_matrix]),
        pytest.param("at_most_once", "redis", marks=[pytest.mark.broker("redis"), pytest.mark.full_matrix]),
    ],
)
def test_in_the_middle_of_a_batch_the_rest_is_given_back_and_sent_by_another_at_once(
    project: Project, request: pytest.FixtureRequest, kind: str, delivery: str
):
    """The claim time is a minute: whatever waited for the end of a lease would come far too late."""
    broker = request.getfixturevalue(f"{kind}_broker")
    assert isinstance(broker, Broker)
    project.broker = broker
    entries = {f"entry-{number}": {"task": "elsewhere.note", "schedule": 5.0} for number in range(90)}
    project.write(
        SLOW, beat_schedule=entries, pyncette_claim_time=55, pyncette_delivery=delivery, pyncette_catch_up="all"
    )
    (project.directory / "slow").touch()
    first = project.working_beat()
    second = project.working_beat()
    beats = [first, second]
    sender = wait_until(
        lambda: next((beat for beat in beats if len(_sending(beat)) >= 20), None), PATIENCE, "a batch", every=0.01
    )
    assert sender is not None
    other = second if sender is first else first
    stopped_within(sender, 3.0)
    (project.directory / "slow").unlink()
    stopped_at = time.monotonic()
    assert len(set(_sending(sender))) < 90, "it was not the middle of the batch"
    wait_until(
        lambda: set(_sending(other)) | set(_sending(sender)) == set(entries),
        PATIENCE,
        lambda: f"the other one sends the rest\n{other.tail()}",
    )
    wait_until(
        lambda: all(record.counters.started >= 1 and record.lease is None for record in project.records().values()),
        max(1.0, stopped_at + 20 - time.monotonic()),
        "all of the batch is used up, and nothing is leased",
        every=0.2,
    )
    other.terminate()
    assert [name for name, record in project.records().items() if record.counters.skipped] == []
    # The one that was just being handed over may have been sent: at most once counts it as such.
    assert len(set(entries) - _arrived(broker)) <= (1 if delivery == "at_most_once" else 0)
    assert len(re.findall("publish_failed", sender.text)) <= 1, sender.tail()


def _sending(beat: Process) -> list[str]:
    return re.findall(r"Sending due task (\S+)", beat.text)


def _arrived(broker: Broker) -> set[str]:
    """The entries of all messages in the queue."""
    from kombu import Connection

    names = set()
    with Connection(broker.url) as connection, connection.SimpleQueue(broker.queue, no_ack=True) as queue:
        while True:
            try:
                names.add(queue.get(timeout=0.5).headers["periodic_task_name"])
            except queue.Empty:
                return names


def test_a_beat_inside_a_worker_works_and_ends_with_it(project: Project):
    project.write()
    worker = project.worker("-B", "--scheduler", "celery_pyncette.Scheduler", "-s", "embedded-schedule")
    wait_until(lambda: len(project.runs()) >= 2, PATIENCE, lambda: f"two runs\n{worker.tail()}", every=0.1)
    stopped_within(worker, 10.0)
    counters = project.records()["every-second"].counters
    assert counters.started >= 2


def test_inspect_ping_is_answered_by_a_beat_that_ticks_and_by_no_other(project: Project):
    project.write(beat_remote_control_max_tick_age=3)
    beat = project.working_beat("--enable-remote-control")
    wait_until(lambda: _ping(project, beat), PATIENCE, lambda: f"it answers\n{beat.tail()}", every=0.2)
    beat.pause()
    assert not _ping(project, beat)
    beat.resume()
    wait_until(lambda: _ping(project, beat), PATIENCE, "it answers again", every=0.2)
    stays(lambda: beat.alive, 0.2)


def _ping(project: Project, beat: Process) -> bool:
    from celery import Celery

    with Celery(set_as_current=False) as app:
        app.conf.update(project.broker.settings)
        answers = app.control.ping(timeout=2.0)
    return any(name.startswith("celerybeat@") for answer in answers for name in answer)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("postgresql", marks=pytest.mark.store("postgresql")),
        pytest.param("mariadb", marks=[pytest.mark.store("mariadb"), pytest.mark.full_matrix]),
        pytest.param("redis", marks=[pytest.mark.store("redis"), pytest.mark.full_matrix]),
    ],
)
def test_a_beat_whose_store_says_nothing_any_more_ends_in_time(
    project: Project, request: pytest.FixtureRequest, proxy_to: Callable[[str], TcpProxy], kind: str
):
    """It waits for an answer of the store when it is told to stop."""
    url = str(request.getfixturevalue(f"{kind}_url"))
    proxy = proxy_to(url)
    project.store_url = proxy.through(url)
    project.write(pyncette_store_timeout=20)
    beat = project.working_beat()
    beat.wait_for_log("Sending due task", PATIENCE)
    proxy.hold()
    # It logs each second what it sends, unless it waits.
    wait_until(lambda: time.time() - beat.log.stat().st_mtime > 2.5, PATIENCE, "it waits for an answer")
    stopped_within(beat, 5.0)
    proxy.release()

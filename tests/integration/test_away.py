"""The broker or the store is not there: at the start, or later."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from kombu import Connection

from tests.integration.project import EVERY_SECOND, PATIENCE, Project, records_in
from tests.support.brokers import Broker
from tests.support.process import Process
from tests.support.proxy import TcpProxy
from tests.support.wait import stays, wait_until

pytestmark = pytest.mark.timeout(120)


def errors(beat: Process) -> list[str]:
    return [line for line in beat.text.splitlines() if re.search(r": (ERROR|CRITICAL)/|Traceback", line)]


@pytest.mark.store("sqlite")
@pytest.mark.parametrize(
    ("delivery", "kind"),
    [
        pytest.param("at_most_once", "rabbitmq", marks=pytest.mark.broker("rabbitmq")),
        pytest.param("at_least_once", "redis", marks=[pytest.mark.broker("redis"), pytest.mark.full_matrix]),
        pytest.param("at_least_once", "rabbitmq", marks=[pytest.mark.broker("rabbitmq"), pytest.mark.full_matrix]),
        pytest.param("at_most_once", "redis", marks=[pytest.mark.broker("redis"), pytest.mark.full_matrix]),
    ],
)
def test_with_no_broker_nothing_is_used_up_and_all_is_sent_when_it_is_back(
    project: Project,
    request: pytest.FixtureRequest,
    proxy_to: Callable[[str], TcpProxy],
    kind: str,
    delivery: str,
):
    """At the start, and again in the middle."""
    broker = request.getfixturevalue(f"{kind}_broker")
    assert isinstance(broker, Broker)
    proxy = proxy_to(broker.url)
    proxy.refuse()
    project.broker = broker.through(proxy.through(broker.url))
    project.write(pyncette_delivery=delivery, pyncette_catch_up="all")
    project.broker = broker
    beat = project.beat()
    beat.wait_for_log("broker_lost", PATIENCE)
    due_at = wait_until(lambda: _due_at(project), PATIENCE, "the entry is there", swallow=(Exception,))
    _wait_past(due_at + 2000)
    assert project.records()["every-second"].counters.started == 0
    assert project.records()["every-second"].counters.skipped == 0

    proxy.accept()
    beat.wait_for_log("broker_back", PATIENCE)
    _caught_up(project)
    for _ in range(2):
        _between_two(project)
        proxy.refuse()
        lost = len(re.findall("broker_lost", beat.text))
        wait_until(lambda lost=lost: len(re.findall("broker_lost", beat.text)) > lost, PATIENCE, "it noticed")
        used_up = project.records()["every-second"].counters.started
        stays(lambda used_up=used_up: project.records()["every-second"].counters.started == used_up, 1.5, every=0.3)
        proxy.accept()
        _caught_up(project)
    wait_until(lambda: _account(project, broker), PATIENCE, lambda: f"all used up is sent\n{beat.tail()}", every=0.3)
    assert beat.terminate() == 0
    assert project.records()["every-second"].counters.skipped == 0


def _account(project: Project, broker: Broker) -> bool:
    """Whether each occurrence that is used up is in the queue once, and no other."""
    used_up = project.records()["every-second"].counters.started
    with Connection(broker.url) as connection, connection.SimpleQueue(broker.queue) as queue:
        messages = [queue.get(timeout=2) for _ in range(queue.qsize())]
        for message in messages:
            message.requeue()
    return len({message.headers["id"] for message in messages}) == used_up


def _due_at(project: Project) -> int:
    return int(project.records()["every-second"].due_at)


def _wait_past(moment: int) -> None:
    wait_until(lambda: time.time() * 1000 > moment, PATIENCE, "time passes")


def _between_two(project: Project) -> None:
    """At most once, a message that is cut off on its way is not sent again: wait until none is."""
    wait_until(lambda: 500 < _due_at(project) - time.time() * 1000 < 800, PATIENCE, "nothing is due", every=0.02)


def _caught_up(project: Project) -> None:
    now = int(time.time() * 1000)
    wait_until(lambda: _due_at(project) > now, PATIENCE, "all that was due is used up", every=0.1)


def test_with_no_store_at_the_start_the_beat_stays_up_and_begins_when_it_comes(project: Project, proxy_to, redis_url):
    proxy = proxy_to(redis_url)
    proxy.refuse()
    project.store_url = proxy.through(redis_url)
    project.write()
    beat = project.beat()
    beat.wait_for_log("store_lost", PATIENCE)
    wait_until(lambda: "Sending" not in beat.text and beat.alive, 1)
    proxy.accept()
    beat.wait_for_log("Sending due task every-second", PATIENCE)
    assert "store_back" in beat.text
    assert "beat_started" in beat.text
    assert beat.terminate() == 0


def test_a_store_that_is_flushed_is_reported_and_founded_again(project: Project, redis_url: str):
    """Within 2 s the static entries are there again; the fault tests say so for a restart."""
    import redis

    project.store_url = redis_url
    project.write()
    beats = [project.working_beat(), project.working_beat()]
    before = project.records()["every-second"].generation
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    emptied_at = time.monotonic()
    wait_until(lambda: project.records()["every-second"].generation != before, 10, swallow=(Exception,))
    assert time.monotonic() - emptied_at <= 2.0
    wait_until(lambda: any("store_emptied" in beat.text for beat in beats), PATIENCE, "it is reported")
    wait_until(lambda: project.records()["every-second"].counters.started >= 1, PATIENCE, "it fires again")
    assert all(beat.alive for beat in beats)
    assert not any("foreign_store" in beat.text for beat in beats)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("postgresql", marks=pytest.mark.store("postgresql")),
        pytest.param("redis", marks=pytest.mark.store("redis")),
        pytest.param("sqlite", marks=[pytest.mark.store("sqlite"), pytest.mark.full_matrix]),
        pytest.param("mariadb", marks=[pytest.mark.store("mariadb"), pytest.mark.full_matrix]),
    ],
)
def test_ten_beats_that_start_at_once_on_an_empty_store_see_no_error(
    project: Project, request: pytest.FixtureRequest, kind: str
):
    project.store_url = str(request.getfixturevalue(f"{kind}_url"))
    entries = {f"entry-{number}": EVERY_SECOND for number in range(20)}
    project.write(beat_schedule=entries)
    beats = [project.beat() for _ in range(10)]
    for beat in beats:
        beat.wait_for_log("beat_started", 60)
    wait_until(
        lambda: all(record.counters.started for record in project.records().values()), PATIENCE, "all fire", every=0.2
    )
    for beat in beats:
        assert errors(beat) == []
        assert beat.alive
    assert len(records_in(project.store_url, "proj")) == 20
    assert sum(int(n) for beat in beats for n in re.findall(r"reconciled: (\d+) created", beat.text)) == 20

"""Workers without the package, and result backends of two kinds: each occurrence is completed, and ran once."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from celery_pyncette.core.records import Record
from tests.results.ordinary import LONG, PATIENCE, START_WITHIN, Ordinary, entry
from tests.servers.catalogue import find
from tests.support import brokers, databases
from tests.support.process import Processes
from tests.support.wait import stays, wait_until

pytestmark = [
    pytest.mark.faults,
    pytest.mark.full_matrix,
    pytest.mark.timeout(180),
    pytest.mark.broker("redis"),
]

BACKENDS = ("redis", "postgresql")
ENTRIES = {
    "long": entry("work", 3.0, LONG),
    "overlapping": entry("work", 2.0, 0.5),
    "silent": entry("silent", 3.0, LONG),
    "failing": entry("fails", 2.0, 2),
    "retrying": entry("again", 3.0, 1),
}
POLICIES = {
    "celery.*": {"result_aware": False},
    "overlapping": {"overlap": "allow"},
    "failing": {"on_failure": "retry"},
}


@dataclass
class Seen:
    """What one run of the project showed."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    twice: dict[str, list[Any]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    children: dict[str, Record] = field(default_factory=dict)
    beat_log: str = ""
    worker_log: str = ""

    def of(self, name: str, what: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["entry"] == name and line["what"] == what]


@contextlib.contextmanager
def backend_url(kind: str) -> Iterator[str]:
    if kind == "redis":
        with databases.redis_database(find("redis").url or "") as url:
            yield url
    else:
        with databases.postgresql_database(find("postgresql").url or "") as url:
            yield "db+" + url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture(scope="module", params=[pytest.param(kind, marks=pytest.mark.store(kind)) for kind in BACKENDS])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A beat alone for three times `start_within`, then a worker for a while; nobody dies."""
    directory: Path = tmp_path_factory.mktemp(f"ordinary-{request.param}")
    processes, found = Processes(directory), Seen()
    with brokers.redis_broker(find("redis").url or "") as broker, backend_url(request.param) as backend:
        project = Ordinary(directory, processes, broker, f"sqlite:///{directory}/store.sqlite3", backend)
        project.write(ENTRIES, pyncette_policies=POLICIES)
        try:
            beat = project.beat()
            stays(lambda: beat.alive and not project.lines(), 3 * START_WITHIN + 3)
            worker = project.worker()

            def enough() -> bool:
                ends = Counter(line["entry"] for line in project.lines(what="end"))
                return all(ends[name] >= 2 for name in ENTRIES)

            wait_until(enough, PATIENCE + 20, lambda: f"two of each end: {project.lines()}\n{beat.tail()}")
            beat.terminate(15)
            worker.terminate(30)
            found.lines = project.lines()
            found.twice = {name: project.started_twice(name) for name in ENTRIES}
            found.records = {record.spec.name: record for record in project.records().values()}
            found.children = project.records("o:")
            found.beat_log, found.worker_log = beat.text, worker.text
            yield found
        finally:
            processes.end()


def test_the_workers_have_no_gate(seen: Seen) -> None:
    assert seen.lines
    assert not any(line["package"] for line in seen.lines)


@pytest.mark.parametrize("name", ["long", "silent", "overlapping"])
def test_an_occurrence_runs_once_after_a_backlog_and_longer_than_start_within(seen: Seen, name: str) -> None:
    assert seen.of(name, "end")
    assert seen.twice[name] == []


def test_a_backlog_makes_copies_that_expire(seen: Seen) -> None:
    assert "not_started" in seen.beat_log
    assert "Discarding revoked task" in seen.worker_log
    assert max(line["attempt"] for line in seen.lines) > 1


def test_the_next_occurrence_does_not_overlap_the_running_one(seen: Seen) -> None:
    for name in ("long", "silent"):
        moments = sorted((line["at"], line["what"]) for line in seen.lines if line["entry"] == name)
        kinds = [what for _, what in moments]
        assert kinds[::2] == ["start"] * len(kinds[::2])
        assert kinds[1::2] == ["end"] * len(kinds[1::2])


def test_a_failed_run_is_sent_again_under_a_new_task_id_until_it_succeeds(seen: Seen) -> None:
    by_due = Counter(line["due_at"] for line in seen.of("failing", "start"))
    done = {line["due_at"] for line in seen.of("failing", "end")}
    assert done
    assert all(by_due[due_at] == 3 for due_at in done)
    assert len({line["id"] for line in seen.of("failing", "start")}) == sum(by_due.values())
    assert "repeated: 'failing'" in seen.beat_log


def test_a_celery_retry_in_time_is_the_same_run(seen: Seen) -> None:
    """An attempt that starts at the end of its time has none left for a retry: its message expires with it."""
    in_time = {line["due_at"] for line in seen.of("retrying", "end") if line["attempt"] == 1}
    assert in_time
    for due_at in in_time:
        run = [line for line in seen.of("retrying", "start") if line["due_at"] == due_at]
        assert [line["retries"] for line in run] == [0, 1]
        assert len({line["id"] for line in run}) == 1


def test_the_record_tells_how_runs_ended(seen: Seen) -> None:
    for name in ("long", "silent", "failing", "retrying"):
        record = seen.records[name]
        ids = {line["id"] for line in seen.of(name, "end")}
        good = [line for line in record.recent if line.outcome == "succeeded"]
        assert good, (name, record.recent)
        assert {line.task_id for line in good} <= ids
        counters = record.counters
        assert counters.expected == counters.started + counters.skipped + (record.run is not None)


def test_each_overlapping_occurrence_is_a_record_of_its_own(seen: Seen) -> None:
    ended = {line["due_at"] for line in seen.of("overlapping", "end")}
    over = {record.due_at for record in seen.children.values() if record.removed}
    assert ended
    assert over, "those that ended leave a tombstone for a while"


@pytest.fixture
def project(tmp_path: Path, processes: Processes, redis_broker: brokers.Broker, redis_url: str) -> Ordinary:
    return Ordinary(tmp_path, processes, redis_broker, f"sqlite:///{tmp_path}/store.sqlite3", redis_url)


@pytest.mark.faults
@pytest.mark.parametrize("late_ack", [False, True], ids=["early-ack", "late-ack"])
def test_a_run_whose_worker_died_is_sent_again_after_max_run(project: Ordinary, late_ack: bool) -> None:
    project.write(
        {"daily": entry("work", 2.0, 3.0)},
        pyncette_max_run=6,
        pyncette_catch_up="all",
        task_acks_late=late_ack,
        broker_transport_options={**project.broker.transport_options, "visibility_timeout": 3600},
    )
    beat, first = project.beat(), project.worker("-c", "1", name="first")
    line = wait_until(lambda: project.lines("daily", "start"), PATIENCE, beat.tail)[0]
    first.kill_group()
    project.worker("-c", "1", name="second")

    def completed() -> bool:
        return any(end["due_at"] == line["due_at"] for end in project.lines("daily", "end"))

    wait_until(completed, PATIENCE, lambda: f"{project.lines()} {beat.tail()}")
    mine = [start for start in project.lines("daily", "start") if start["due_at"] == line["due_at"]]
    assert [start["attempt"] for start in mine] == [1, 2]
    assert mine[1]["at"] - mine[0]["at"] > 5
    assert "repeated: 'daily'" in beat.text
    assert "abandoned" in beat.text


def test_a_backend_that_is_away_makes_no_copies(
    tmp_path: Path, processes: Processes, redis_broker: brokers.Broker, own_persistent_redis: Any
) -> None:
    store_url = f"sqlite:///{tmp_path}/store.sqlite3"
    project = Ordinary(tmp_path, processes, redis_broker, store_url, own_persistent_redis.url)
    retries = {"max_retries": 60, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
    project.write({"long": entry("work", 2.0, LONG)}, result_backend_transport_options={"retry_policy": retries})
    beat, worker = project.beat(), project.worker()
    wait_until(lambda: project.lines("long", "start"), PATIENCE, beat.tail)
    own_persistent_redis.kill()
    beat.wait_for_log("results_lost", PATIENCE)
    stays(lambda: beat.alive and not project.started_twice(), 2 * START_WITHIN)
    own_persistent_redis.start()
    beat.wait_for_log("results_back", PATIENCE)
    wait_until(lambda: project.lines("long", "end"), PATIENCE, worker.tail)
    assert project.started_twice() == []


GATED = """\
from ordinary import app

from celery_pyncette import Pyncette

Pyncette(app)
"""


@pytest.mark.parametrize("beats", ["ordinary", "gated"])
def test_a_mixed_fleet_starts_at_most_once(project: Ordinary, beats: str) -> None:
    """One worker has the gate and the other has not, whatever the beats believe."""
    names = [f"most-{number}" for number in range(3)]
    project.write(
        {name: entry("work", 1.0, 0.3, expires=5) for name in names},
        pyncette_delivery="at_most_once",
        pyncette_overlap="allow",
        pyncette_store_url=project.store_url,
    )
    (project.directory / "gated.py").write_text(GATED)
    gated = project.worker("-c", "1", app="gated", name="gated")
    plain = project.worker("-c", "1", name="plain")
    running = [project.processes.beat(beats, cwd=project.directory, name=f"beat-{number}") for number in range(2)]

    def both_worked() -> bool:
        seen = Counter(line["package"] for line in project.lines(what="start"))
        return seen[True] >= 6 and seen[False] >= 6

    def said() -> str:
        return "\n".join([str(project.lines()[-3:]), running[0].tail(), gated.tail(), plain.tail()])

    wait_until(both_worked, PATIENCE, said)
    running[0].kill()
    stays(lambda: running[1].alive, 8)
    assert project.started_twice() == []
    by_due = Counter((line["entry"], line["due_at"]) for line in project.lines(what="start"))
    assert max(by_due.values()) == 1

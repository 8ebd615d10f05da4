"""An ordinary app, one flag changed, under two beats and a worker: one run of it, looked at from many sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celery_pyncette.core.records import Record
from tests.integration.project import EVERY_SECOND, PATIENCE, Project, ran_twice
from tests.servers.catalogue import find
from tests.support import brokers
from tests.support.process import Process, Processes
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker("rabbitmq"), pytest.mark.store("postgresql"), pytest.mark.timeout(120)]

MORE = """
from celery.beat import BeatLazyFunc
from celery.schedules import schedule

calls = []


def tick():
    calls.append(1)
    return f"{time.time():.3f}"


queue = settings["task_default_queue"]
shared = {"headers": {"mine": "kept"}, "priority": 7, "queue": queue, "expires": 3600}
settings["beat_schedule"] = {
    **settings["beat_schedule"],
    "lazy": {"task": "proj.note", "schedule": 1.0, "args": (BeatLazyFunc(tick),)},
    "options": {"task": "proj.note", "schedule": 1.0, "options": shared},
    "unknown-task": {"task": "elsewhere.note", "schedule": 1.0, "options": {"queue": "elsewhere-" + queue}},
    "cannot-be-serialised": {"task": "proj.note", "schedule": 1.0, "args": (object(),)},
}


@app.on_after_configure.connect
def first(sender, **_):
    sender.add_periodic_task(1.0, note.s("configured"), name="on-configure")


@app.on_after_finalize.connect
def second(sender, **_):
    sender.add_periodic_task(schedule(1.0), note.s("finalised"), name="on-finalise")
"""
NAMES = {"every-second", "lazy", "options", "unknown-task", "cannot-be-serialised", "on-configure", "on-finalise"}


class Facts:
    """What was seen."""

    runs: list[dict[str, Any]]
    records: dict[str, Record]
    beats: list[Process]

    def of(self, entry: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["headers"]["periodic_task_name"] == entry]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facts]:
    from tests.support import databases

    postgresql, rabbitmq = find("postgresql").url, find("rabbitmq").url
    assert postgresql is not None
    assert rabbitmq is not None
    directory: Path = tmp_path_factory.mktemp("ordinary")
    processes = Processes(directory)
    found = Facts()
    with brokers.rabbitmq_broker(rabbitmq) as broker, databases.postgresql_database(postgresql) as store_url:
        project = Project(directory, processes, broker, store_url)
        project.write(
            MORE,
            # One at a time, so that both find something when several are due together.
            pyncette_batch_size=1,
            task_queue_max_priority=10,
            result_backend="db+sqlite:///results.sqlite3",
            result_expires=60,
        )
        try:
            project.worker()
            found.beats = [project.working_beat(), project.working_beat()]
            sending = NAMES - {"cannot-be-serialised", "unknown-task"}
            wait_until(
                lambda: all(len(project.runs(name)) >= 4 for name in sending),
                PATIENCE,
                lambda: f"each ran four times\n{processes.tails()}",
                every=0.2,
            )
            wait_until(lambda: all(_sends(beat) for beat in found.beats), PATIENCE, "both beats send", every=0.2)
            for beat in found.beats:
                assert beat.terminate() == 0
            found.records = project.records()
            started = sum(found.records[name].counters.started for name in sending)
            wait_until(lambda: len(project.runs()) >= started, PATIENCE, "all that was sent ran", every=0.2)
            found.runs = project.runs()
            yield found
        finally:
            processes.end()
            _delete_queue(rabbitmq, f"elsewhere-{broker.queue}")


def _sends(beat: Process) -> bool:
    return "Sending due task" in beat.text


def _delete_queue(url: str, queue: str) -> None:
    from kombu import Connection

    with Connection(url, connect_timeout=5) as connection, connection.channel() as channel:
        channel.queue_delete(queue)
        channel.exchange_delete(queue)


def test_two_beats_share_the_work_and_nothing_runs_twice(facts: Facts):
    assert ran_twice(facts.runs) == []
    for name in ("every-second", "on-configure"):
        due = sorted(run["headers"]["pyncette"]["due_at"] for run in facts.of(name))
        skipped = facts.records[name].counters.skipped
        assert (due[-1] - due[0]) // 1000 + 1 == len(due) + skipped, "an occurrence is missing"
        assert facts.records[name].counters.started == len(due)


def test_entries_of_every_source_are_there_and_so_is_celerys_own_clean_up(facts: Facts):
    assert set(facts.records) == NAMES | {"celery.backend_cleanup"}
    assert {run["args"][0] for run in facts.of("on-configure")} == {"configured"}
    assert {run["args"][0] for run in facts.of("on-finalise")} == {"finalised"}


def test_a_worker_sees_which_entry_and_occurrence_it_is(facts: Facts):
    for run in facts.runs:
        ticket = run["headers"]["pyncette"]
        assert ticket["task_id"] == run["id"]
        assert ticket["key"] == f"s:{run['headers']['periodic_task_name']}"
        assert ticket["ns"] == "proj"
        assert 0 <= run["at"] - ticket["due_at"] / 1000 < PATIENCE
        assert run["headers"]["celery_beat_task"] is True
    assert len({run["headers"]["pyncette"]["store"] for run in facts.runs}) == 1


def test_options_are_honoured_and_never_changed_by_an_occurrence(facts: Facts):
    runs = facts.of("options")
    assert {run["headers"]["mine"] for run in runs} == {"kept"}
    assert {run["delivery"]["priority"] for run in runs} == {7}
    assert {run["delivery"]["routing_key"] for run in runs} == {runs[0]["delivery"]["routing_key"]}
    assert all(run["expires"] is not None for run in runs)
    assert all(run["expires"] is None for run in facts.of("every-second"))
    assert len({run["id"] for run in runs}) == len(runs)


def test_a_lazy_argument_is_evaluated_for_each_occurrence(facts: Facts):
    values = [float(run["args"][0]) for run in facts.of("lazy")]
    assert len(set(values)) == len(values)
    for run, value in zip(facts.of("lazy"), values, strict=True):
        assert run["headers"]["pyncette"]["due_at"] / 1000 <= value + 0.001 <= run["at"] + 0.001


def test_a_task_that_the_beat_does_not_know_is_sent_by_its_name(facts: Facts):
    assert facts.records["unknown-task"].counters.started >= 3


def test_what_cannot_be_serialised_is_skipped_and_costs_the_others_nothing(facts: Facts):
    counters = facts.records["cannot-be-serialised"].counters
    assert counters.started == 0
    assert counters.skipped == counters.expected >= 3
    said = "\n".join(beat.text for beat in facts.beats)
    assert "publish_failed: 'cannot-be-serialised'" in said
    assert "reason publish_failed" in said
    assert "publish_failed: 'every-second'" not in said


def test_nothing_but_the_entry_that_cannot_be_sent_is_an_error(facts: Facts):
    for beat in facts.beats:
        errors = [line for line in beat.text.splitlines() if ": ERROR/" in line or ": CRITICAL/" in line]
        assert [line for line in errors if "cannot-be-serialised" not in line] == []


@pytest.mark.broker("redis")
def test_with_a_backend_that_forgets_by_itself_there_is_no_clean_up(project: Project, redis_broker):
    project.write(result_backend=redis_broker.url, result_expires=60, beat_schedule={"mine": EVERY_SECOND})
    project.working_beat()
    assert set(project.records()) == {"mine"}

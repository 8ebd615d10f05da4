"""What an app with result-aware entries must have, found out at the start of a beat, from its configuration alone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from celery import Celery

from celery_pyncette.aware import AUTOLOAD, check_ordinary_workers, gate_assumed, why_unheard
from celery_pyncette.beat.scheduler import Scheduler
from celery_pyncette.client import get_task, schedule_task
from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Outcome, Record, Write
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.settings import Settings
from celery_pyncette.stores.protocol import Verdict
from celery_pyncette.stores.writes import write_as_editor
from celery_pyncette.task_state import RunState
from celery_pyncette.translate import translate_all
from tests.support.wait import wait_until

GOOD = {"result_backend": "redis://:secret@nowhere.invalid:6379/0", "task_track_started": True}

PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)


def app_with(**conf: Any) -> Celery:
    app = Celery("aware", broker="memory://", set_as_current=False)
    app.conf.update({"beat_schedule": {"job": {"task": "t", "schedule": 5.0}}, **conf})

    @app.task(name="t", shared=False)
    def t() -> None: ...

    return app


def check(app: Celery) -> bool:
    settings = Settings.of(app)
    entries, rejected = translate_all(app)
    assert not rejected
    return check_ordinary_workers(app, settings, StaticDefinitions(app, settings, entries, gated=False))


AWARE_BY = {
    "setting": ({"pyncette_result_aware": True}, "entry 'job'"),
    "exact name": ({"pyncette_policies": {"job": {"result_aware": True}}}, "entry 'job'"),
    "pattern": ({"pyncette_policies": {"j*": {"result_aware": True}}}, "entry 'job'"),
    "pattern for others": ({"pyncette_policies": {"x*": {"result_aware": True}}}, r"pyncette_policies 'x\*'"),
    "setting alone": (
        {"pyncette_result_aware": True, "beat_schedule": {}, "result_expires": None},
        "everything .pyncette_result_aware.",
    ),
}


@pytest.mark.parametrize("how", list(AWARE_BY))
@pytest.mark.parametrize("backend", [None, "rpc://", "disabled://"])
def test_without_readable_results_a_beat_does_not_start(how: str, backend: str | None) -> None:
    conf, who = AWARE_BY[how]
    said = f"result_backend=.*{who}.* is result-aware.*task_track_started"
    with pytest.raises(ConfigurationError, match=said) as error:
        check(app_with(**conf, result_backend=backend, task_track_started=True))
    assert "Pyncette(app)" in str(error.value)
    assert AUTOLOAD in str(error.value)


@pytest.mark.parametrize("how", list(AWARE_BY))
def test_without_track_started_a_beat_does_not_start(how: str) -> None:
    conf, _ = AWARE_BY[how]
    with pytest.raises(ConfigurationError, match="task_track_started=False: .* is result-aware"):
        check(app_with(**conf, **{**GOOD, "task_track_started": False}))
    assert check(app_with(**conf, **GOOD))


def test_a_task_makes_its_entries_result_aware() -> None:
    app = app_with()
    app.tasks["t"].pyncette_result_aware = True
    with pytest.raises(ConfigurationError, match="result_backend=None: entry 'job'"):
        check(app)


def test_a_task_may_track_its_start_itself_or_not() -> None:
    app = app_with(pyncette_policies={"job": {"result_aware": True}}, **{**GOOD, "task_track_started": False})
    app.tasks["t"].track_started = True
    assert check(app)
    app = app_with(pyncette_policies={"job": {"result_aware": True}}, **GOOD)
    app.tasks["t"].track_started = False
    with pytest.raises(ConfigurationError, match="task_track_started"):
        check(app)


def test_nothing_is_checked_where_nothing_is_result_aware() -> None:
    assert not check(app_with())
    assert not check(app_with(pyncette_policies={"job": {"delivery": "at_most_once"}}))


UNHEARD = [({}, "result_backend=None"), ({**GOOD, "task_track_started": False}, "task_track_started=False"), (GOOD, "")]


@pytest.mark.parametrize(("conf", "said"), UNHEARD, ids=["no results", "not tracked", "good"])
def test_why_nobody_hears_of_a_task(conf: dict[str, Any], said: str) -> None:
    reason = why_unheard(app_with(**conf), "t")
    assert said in (reason or "")
    assert (reason is None) is (conf == GOOD)


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as error:
        check(app_with(pyncette_result_aware=True, result_backend="rpc://user:hunter2@nowhere.invalid//"))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("conf", "assumed"),
    [
        ({}, False),
        ({"imports": ["proj.tasks"]}, False),
        ({"imports": [AUTOLOAD]}, True),
        ({"imports": ("proj.tasks", AUTOLOAD)}, True),
        ({"include": [AUTOLOAD]}, True),
    ],
)
def test_when_the_gate_is_assumed(conf: dict[str, Any], assumed: bool) -> None:
    assert gate_assumed(app_with(**conf)) is assumed


def test_the_extension_is_the_gate() -> None:
    app = app_with(pyncette_result_aware=True)
    app.pyncette = object()
    assert gate_assumed(app)


@pytest.fixture
def beat(tmp_path: Any) -> Any:
    def made(**conf: Any) -> Scheduler:
        app = app_with(pyncette_store_url=f"sqlite:///{tmp_path}/store.sqlite3", **conf)
        return Scheduler(app, lazy=False)

    return made


def test_a_beat_looks_when_it_starts(beat: Any) -> None:
    with pytest.raises(ConfigurationError, match="result_backend"):
        beat(pyncette_result_aware=True)
    assert beat(pyncette_result_aware=True, imports=[AUTOLOAD])
    assert beat(pyncette_result_aware=True, **GOOD)
    assert beat()


def test_a_dynamic_entry_of_which_no_beat_would_hear_is_set_aside(beat: Any, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = beat(beat_schedule={})
    scheduler.tick()
    schedule_task("t", "mine", execute_at=PAST, policy={"result_aware": True}, app=scheduler.app)
    said = "quarantined: .*'mine': result_aware=True: its workers have no gate, .*result_backend=None.*Pyncette.app."

    def is_said() -> bool:
        scheduler.tick()
        return re.search(said, caplog.text) is not None

    wait_until(is_said, 15, "nothing was said of the entry")
    state = get_task("mine", app=scheduler.app)
    assert state is not None
    assert state.run is None


def test_what_was_reported_before_is_written_down_all_the_same(beat: Any, tmp_path: Any) -> None:
    """It was sent by a beat that could hear of it, and the worker had a gate; this beat knows neither."""
    url = f"db+sqlite:///{tmp_path}/results.sqlite3"
    other = beat(beat_schedule={}, result_backend=url, task_track_started=True)
    other.tick()
    schedule_task("t", "mine", execute_at=PAST, policy={"result_aware": True}, app=other.app)
    store = other.runtime.open_store()

    def is_sent() -> bool:
        other.tick()
        [record] = store.fetch([Key("d:mine")]).records
        return record is not None and record.run is not None and record.run.dispatched_at is not None

    wait_until(is_sent, 15, "it was not sent")
    written, _ = write_as_editor(store, Key("d:mine"), _succeeded)
    assert written.verdict is Verdict.APPLIED
    scheduler = beat(beat_schedule={})

    def is_over() -> bool:
        scheduler.tick()
        return get_task("mine", app=scheduler.app) is None

    wait_until(is_over, 15, "its outcome was not written down")


def _succeeded(record: Record | None, now: Instant) -> Write:
    assert record is not None
    assert record.run is not None
    run = replace(record.run, starts=1, started_at=now, ended_at=now, outcome=Outcome.SUCCEEDED)
    return Write(record=replace(record, run=run, lease=None))


def test_a_beat_asks_for_results_where_only_a_dynamic_entry_needs_them(beat: Any, tmp_path: Any) -> None:
    url = f"db+sqlite:///{tmp_path}/results.sqlite3"
    scheduler = beat(beat_schedule={}, result_backend=url, result_expires=None, task_track_started=True)
    scheduler.tick()
    schedule_task("t", "mine", execute_at=PAST, policy={"result_aware": True}, app=scheduler.app)

    def run() -> RunState | None:
        scheduler.tick()
        state = get_task("mine", app=scheduler.app)
        return None if state is None else state.run

    wait_until(lambda: run() is not None, 15, "it was not sent")
    sent = run()
    assert sent is not None
    scheduler.app.backend.store_result(sent.task_id, None, "SUCCESS")

    def is_over() -> bool:
        scheduler.tick()
        return get_task("mine", app=scheduler.app) is None

    wait_until(is_over, 15, "the beat has not read the result")


def test_more_than_one_send_of_at_most_once_needs_the_gate(beat: Any, caplog: pytest.LogCaptureFixture) -> None:
    conf = {"pyncette_result_aware": True, "pyncette_delivery": "at_most_once", "pyncette_start_attempts": 3}
    beat(**conf, **GOOD)
    assert re.search(r"entry_rejected: 'job': .*start_attempts.*needs the gate", caplog.text)
    caplog.clear()
    beat(**conf, **GOOD, imports=[AUTOLOAD])
    assert "entry_rejected" not in caplog.text

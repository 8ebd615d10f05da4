"""Pause, resume, run now, look and list: what an operator does."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from celery_pyncette import InvalidEntry, get_task, list_tasks, pause_task, resume_task, run_task_now, schedule_tasks
from tests.client.setting import Setting, app_of

BOTH = {"both": {"task": "t", "schedule": 3600}, "report": {"task": "t", "schedule": 60}}


@pytest.fixture
def static() -> Setting:
    return Setting(app=app_of(beat_schedule=BOTH))


def test_a_paused_entry_rests_until_it_is_resumed(here: Setting):
    here.schedule("t", "n", interval=60)
    state = pause_task("n", "the mail server is down", app=here.app)
    assert (state.state, state.paused.note, state.paused.until) == ("paused", "the mail server is down", None)
    assert here.beat(600) == []
    assert resume_task("n", app=here.app).paused is None
    assert here.beat() == ["n"], "its policy is to run the latest"


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("latest", 1), ("all", 5)])
def test_resuming_says_what_becomes_of_what_was_missed(here: Setting, missed: str, runs: int):
    here.schedule("t", "n", interval=60)
    pause_task("n", app=here.app)
    here.beat(310)
    resume_task("n", missed, app=here.app)
    assert here.beat() == ["n"] * runs
    assert here.beat(50) == ["n"], "and on it goes"


@pytest.mark.parametrize(("missed", "runs"), [("skip", 1), ("all", 5)])
def test_a_pause_that_ends_by_itself_says_it_beforehand(here: Setting, missed: str, runs: int):
    here.schedule("t", "n", interval=60)
    state = pause_task("n", until=timedelta(seconds=299), missed=missed, app=here.app)
    assert (state.paused.missed, state.paused.until) == (missed, state.as_of + timedelta(seconds=299))
    assert here.beat(298) == []
    assert here.beat(2) == ["n"] * runs
    assert get_task("n", app=here.app).paused is None


def test_pausing_twice_and_resuming_twice_are_fine(here: Setting):
    here.schedule("t", "n", interval=60)
    first = pause_task("n", "a", app=here.app)
    assert pause_task("n", "a", app=here.app).version == first.version
    assert pause_task("n", "b", app=here.app).paused.note == "b"
    version = resume_task("n", app=here.app).version
    assert resume_task("n", app=here.app).version == version


def test_what_cannot_be_is_refused(here: Setting):
    here.schedule("t", "n", interval=60)
    refused = [
        (lambda: pause_task("n", until=datetime(2023, 1, 1, tzinfo=timezone.utc), app=here.app), "until"),
        (lambda: pause_task("n", until=datetime(2030, 1, 1), app=here.app), "until"),
        (lambda: pause_task("n", until=timedelta(0), app=here.app), "until"),
        (lambda: pause_task("n", "x" * 501, app=here.app), "note"),
        (lambda: resume_task("n", "some", app=here.app), "missed"),
        (lambda: pause_task("nobody", app=here.app), "name"),
        (lambda: resume_task("nobody", app=here.app), "name"),
        (lambda: run_task_now("nobody", app=here.app), "name"),
        (lambda: get_task("n", origin="delayed", app=here.app), "origin"),
        (lambda: list_tasks(limit=0, app=here.app), "limit"),
        (lambda: list_tasks(cursor="x:", app=here.app), "cursor"),
    ]
    for call, field in refused:
        with pytest.raises(InvalidEntry) as raised:
            call()
        assert raised.value.field == field
    assert get_task("n", app=here.app).version == 1


def test_static_entries_are_paused_resumed_and_run(static: Setting):
    assert pause_task("report", "why", app=static.app).origin.value == "static"
    assert static.beat(130) == []
    run_task_now("report", app=static.app)
    assert static.beat() == ["report"]
    resume_task("report", "skip", app=static.app)
    assert static.beat(50) == ["report"]


def test_a_name_that_is_static_and_dynamic_asks_which(static: Setting):
    elsewhere = app_of()
    from celery_pyncette.client.desk import Desk, seat

    seat(Desk(elsewhere, static.store))
    schedule_tasks([{"task": "t", "name": "both", "interval": 60}], app=elsewhere)
    with pytest.raises(InvalidEntry, match="say which one is meant"):
        pause_task("both", app=static.app)
    assert pause_task("both", origin="dynamic", app=static.app).origin.value == "dynamic"
    assert get_task("both", origin="static", app=static.app).paused is None


def test_a_listing_has_pages_and_conditions(static: Setting):
    names = [f"u{number:02}" for number in range(25)]
    entries = ({"task": f"t{number % 2}", "name": name, "interval": 60} for number, name in enumerate(names))
    schedule_tasks(entries, app=static.app)
    pause_task("u03", app=static.app)
    pause_task("u05", until=timedelta(seconds=1), app=static.app)
    static.clock.advance(2)
    pages, cursor = [], None
    while True:
        page = list_tasks(limit=7, cursor=cursor, app=static.app)
        pages.append([task.name for task in page.tasks])
        cursor = page.cursor
        if cursor is None:
            break
    assert [len(page) for page in pages] == [7, 7, 7, 6]
    assert [name for page in pages for name in page] == [*names, "both", "report"]

    def listed(**conditions) -> list[str]:
        return [task.name for task in list_tasks(app=static.app, **conditions).tasks]

    assert listed(origin="static") == ["both", "report"]
    assert listed(prefix="u1", task="t1") == ["u11", "u13", "u15", "u17", "u19"]
    assert listed(paused=True) == ["u03"]
    assert len(listed(paused=False)) == 26
    assert listed(running=True) == listed(dead=True) == []


@pytest.mark.parametrize("beginning", ["", "#", "#1", "r", "report ", "z" * 598])
def test_a_beginning_finds_every_name_that_begins_so_whatever_its_key(beginning: str):
    names = ["#1", "#2", "report", "report daily", "report daily" + "y" * 587, "#1" + "y" * 597, "z" * 598, "z" * 600]
    setting = Setting(app=app_of(beat_schedule={name: {"task": "t", "schedule": 60} for name in names}))
    for name in ("#1 d", "report d"):
        setting.schedule("t", name, interval=60)
    found, cursor = [], None
    while True:
        page = list_tasks(prefix=beginning, limit=2, cursor=cursor, app=setting.app)
        found += [task.name for task in page.tasks]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(name for name in [*names, "#1 d", "report d"] if name.startswith(beginning))

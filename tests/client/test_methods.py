"""The client calls as methods of the extension: for its own app, also where there are several."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from celery_pyncette import AppNotChosen, Pyncette, apps, client, get_task, schedule_task
from celery_pyncette.client.methods import Calls
from tests.client.setting import Setting, app_of

NAMES = [name for name in client.__all__ if inspect.isfunction(getattr(client, name)) and name != "after_commit"]


@pytest.fixture
def two() -> Iterator[tuple[Pyncette, Pyncette]]:
    """Two apps of one process, each with a store of its own."""
    settings = Setting(), Setting(app=app_of())
    extensions = tuple(Pyncette(setting.app) for setting in settings)
    yield extensions
    for setting in settings:
        apps.forget(setting.app)


def test_each_goes_to_its_own_app(two: tuple[Pyncette, Pyncette]):
    here, there = two
    with pytest.raises(AppNotChosen):
        schedule_task("t", "n", interval=60)
    state = here.schedule_task("t", "n", interval=60)
    assert get_task("n", app=here.app) == here.get_task("n") == state
    assert there.get_task("n") is None
    assert here.pause_task("n", "why").paused.note == "why"
    assert [task.name for task in here.list_tasks().tasks] == ["n"]
    assert there.get_task("n", app=here.app).name == "n"
    assert here.schedule_tasks([{"task": "t", "name": "n2", "interval": 60}]).created == 1
    assert here.unschedule_task("n")


@pytest.mark.parametrize("name", NAMES)
def test_every_call_is_there_with_its_documentation(name: str):
    assert getattr(Calls, name) is getattr(client, name)
    app = app_of()
    try:
        assert getattr(Pyncette(app), name).__doc__ == getattr(client, name).__doc__
    finally:
        apps.forget(app)


def test_without_an_app_it_is_told_what_to_do():
    with pytest.raises(AppNotChosen, match="init_app"):
        Pyncette().get_task("n")

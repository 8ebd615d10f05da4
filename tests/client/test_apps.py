"""Which app is meant, and from where its calls may come."""

from __future__ import annotations

import os
import threading
import weakref

import pytest
from celery import Celery, shared_task

from celery_pyncette import AppNotChosen, StoreNotConfigured, get_task, schedule_task
from celery_pyncette.apps import choose, forget, remember
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import ConfigurationError, SchemaMismatch
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.protocol import Founding
from tests.client.setting import Setting, app_of


@pytest.fixture
def apps(monkeypatch):
    monkeypatch.setattr("celery_pyncette.apps._apps", weakref.WeakSet())  # others' tests have apps of their own
    made = [Celery(name, broker="memory://", set_as_current=False) for name in ("one", "two")]
    yield made
    for app in made:
        forget(app)


@shared_task(name="shared")
def shared() -> None: ...


def test_a_task_brings_its_app(apps):
    one, two = apps
    remember(two)

    @one.task(name="own")
    def own() -> None: ...

    assert choose(None, own) is one
    assert choose(two, own) is two
    assert choose(None, "own") is two


def test_the_only_app_with_the_extension_is_meant(apps):
    one, two = apps
    with pytest.raises(AppNotChosen, match="pass app="):
        choose()
    remember(one)
    remember(one)
    assert choose() is one
    assert choose(None, shared) is one
    remember(two)
    with pytest.raises(AppNotChosen, match="2 Celery apps .*'one', 'two'"):
        choose()


def test_a_shared_task_and_the_current_app_choose_nothing(apps):
    one, _ = apps
    one.set_current()
    with pytest.raises(AppNotChosen):
        choose(None, shared)
    with pytest.raises(AppNotChosen):
        schedule_task("t", "n", interval=60)


def test_a_task_object_is_scheduled_by_its_name(here: Setting):
    @here.app.task(name="shop.mail")
    def mail() -> None: ...

    assert schedule_task(mail, "n", interval=60).task == "shop.mail"


def test_without_a_url_there_is_a_clear_error():
    app = app_of(pyncette_store_url=None)
    with pytest.raises(StoreNotConfigured, match="pyncette_store_url is not set"):
        schedule_task("t", "n", interval=60, app=app)


def test_before_the_first_beat_there_is_a_clear_error_and_no_file(tmp_path):
    for url in (f"sqlite:///{tmp_path}/no.sqlite3", "memory://nobody-founded-this"):
        with pytest.raises(SchemaMismatch):
            schedule_task("t", "n", interval=60, app=app_of(pyncette_store_url=url))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_told(here: Setting):
    with pytest.raises(ConfigurationError, match="pyncette_lease"):
        schedule_task("t", "n", interval=60, app=app_of(pyncette_lease=-1))


@pytest.fixture
def app(store_url: str):
    app = app_of(pyncette_store_url=store_url, pyncette_namespace="forks")
    store = Runtime(app).open_store()
    store.prepare(Founding())
    store.close()
    yield app
    desk_of(app).close()


def test_before_and_after_a_fork_and_in_threads(app: Celery, store_url: str):
    """As a pre-fork web server does: the parent has used the store, its children go on."""
    schedule_task("t", "parent", interval=60, app=app)
    if not store_url.startswith("memory"):
        child = os.fork()
        if child == 0:
            try:
                assert get_task("parent", app=app) is not None
                schedule_task("t", "child", interval=60, app=app)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert get_task("child", app=app) is not None
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            schedule_task("t", f"thread-{number}", interval=60, app=app)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(get_task(f"thread-{number}", app=app) for number in range(8))

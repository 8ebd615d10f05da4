"""What `celery beat` says and takes: flags, banner, the default store."""

from __future__ import annotations

import re
import time

import pytest
from celery import Celery

from celery_pyncette import Scheduler
from tests.integration.project import EVERY_SECOND, PATIENCE, Project, records_in
from tests.support.process import Process
from tests.support.proxy import TcpProxy
from tests.support.wait import wait_until

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.timeout(60)]

DEFAULT = "celerybeat-pyncette.sqlite3"


def first_send(beat: Process) -> None:
    beat.wait_for_log("Sending due task every-second", PATIENCE)


def test_the_short_name_of_the_scheduler_works(project: Project):
    project.write()
    beat = project.beat(scheduler="pyncette")
    first_send(beat)
    assert "scheduler -> celery_pyncette.beat.scheduler.Scheduler" in beat.text
    assert list(project.records()) == ["every-second"]


@pytest.mark.parametrize(("flag", "shown"), [("600", "1.00 second"), ("1", "1.00 second")])
def test_max_interval_can_only_shorten_the_poll_interval(project: Project, flag: str, shown: str):
    project.write()
    beat = project.working_beat("--max-interval", flag)
    assert f"maxinterval -> {shown}" in beat.text, beat.tail()


def test_a_shorter_max_interval_is_taken_from_the_configuration():
    app = Celery("app", set_as_current=False)
    app.conf.update(pyncette_store_url="sqlite:////nowhere/s", pyncette_poll_interval=5, beat_max_loop_interval=0.5)
    assert Scheduler(app, lazy=True).max_interval == 0.5
    assert Scheduler(app, lazy=True, max_interval=2).max_interval == 2
    assert Scheduler(app, lazy=True, max_interval=50).max_interval == 5


def test_without_a_store_url_the_store_lies_beside_the_schedule_file_and_says_so(project: Project):
    project.write(pyncette_store_url=None)
    place = project.directory / "state"
    place.mkdir()
    beat = project.beat("-s", "state/celerybeat-schedule")
    first_send(beat)
    assert f"store -> sqlite:///{place / DEFAULT}" in beat.text, beat.tail()
    assert re.search(r"WARNING.* pyncette_store_url is not set.*A beat on a second host would double", beat.text)
    assert {path.name for path in place.iterdir()} <= {DEFAULT, f"{DEFAULT}-wal", f"{DEFAULT}-shm"}
    assert list(records_in(f"sqlite:///{place / DEFAULT}", "proj")) == ["every-second"]


def test_an_explicit_sqlite_url_warns_of_nothing(project: Project):
    project.write()
    beat = project.working_beat()
    assert "is not set" not in beat.text


def test_in_a_pod_the_default_store_is_an_error_that_names_the_setting(project: Project):
    project.write(pyncette_store_url=None)
    beat = project.beat(env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert beat.wait(PATIENCE) != 0
    assert "StoreNotConfigured" in beat.text
    assert "pyncette_store_url" in beat.text.splitlines()[-1], beat.tail()
    assert not (project.directory / DEFAULT).exists()


def test_the_banner_opens_nothing_and_keeps_secrets(project: Project):
    with TcpProxy(1) as nobody:
        project.write(pyncette_store_url=f"redis://user:hush@127.0.0.1:{nobody.port}/3?password=hush")
        beat = project.beat("--max-interval", "1")
        beat.wait_for_log("store_lost", PATIENCE)
    assert f"store -> redis://user:***@127.0.0.1:{nobody.port}/3" in beat.text, beat.tail()
    assert "namespace -> proj" in beat.text
    assert "hush" not in beat.text


@pytest.mark.parametrize("url", ["sqlite:///{file}", "redis://127.0.0.1:{port}/0", "postgresql://127.0.0.1:{port}/x"])
def test_the_lazy_scheduler_connects_to_nothing(tmp_path, url: str):
    file = tmp_path / "store.sqlite3"
    with TcpProxy(1) as nobody:
        app = Celery("lazy", broker=f"redis://127.0.0.1:{nobody.port}/0", set_as_current=False)
        app.conf.pyncette_store_url = url.format(file=file, port=nobody.port)
        app.conf.beat_schedule = {"mine": EVERY_SECOND}
        scheduler = Scheduler(app, lazy=True)
        assert "namespace -> lazy" in scheduler.info
        scheduler.close()
        scheduler.close()
        assert nobody.requests == 0
        assert nobody.connections == 0
    assert not file.exists()


def test_a_wrong_setting_ends_the_beat_with_one_clear_line(project: Project):
    project.write(pyncette_store_ulr="redis://")
    beat = project.beat()
    assert beat.wait(PATIENCE) != 0
    assert "did you mean pyncette_store_url" in beat.text.splitlines()[-1], beat.tail()


def test_namespaces_do_not_see_one_another(project: Project, redis_url: str):
    """Two apps over one store, each with its own name."""
    project.store_url = redis_url
    project.write(pyncette_namespace="one")
    first = project.beat(name="one")
    first.wait_for_log("beat_started", PATIENCE)
    project.write(pyncette_namespace="two", beat_schedule={"other": EVERY_SECOND})
    second = project.beat(name="two")
    second.wait_for_log("Sending due task other", PATIENCE)
    first_send(first)
    assert list(records_in(redis_url, "one")) == ["every-second"]
    assert list(records_in(redis_url, "two")) == ["other"]
    assert "other" not in first.text.replace("other(s)", "")


def test_another_app_in_the_same_namespace_is_refused_by_both_names(project: Project):
    project.write()
    project.working_beat()
    text = (project.directory / "proj.py").read_text()
    (project.directory / "proj.py").write_text(text.replace('Celery("proj")', 'Celery("stranger")'))
    project.write_conf(pyncette_namespace="proj")
    stranger = project.beat()
    assert stranger.wait(PATIENCE) != 0
    last = stranger.text.splitlines()[-1]
    assert re.search(r"'proj at 127\.0\.0\.1:.*'stranger at 127\.0\.0\.1:.*pyncette_namespace", last), stranger.tail()
    assert "NamespaceInUse" in stranger.text


@pytest.mark.needs("redis")
def test_two_default_stores_on_one_broker_find_each_other(project: Project):
    """Beats of two directories, `pyncette_store_url` unset: each says that every run is doubled."""
    project.write(pyncette_store_url=None)
    started = time.monotonic()
    beats = []
    for name in ("here", "there"):
        (project.directory / name).mkdir()
        beats.append(project.beat("-s", f"{name}/celerybeat-schedule", name=name))
    wait_until(
        lambda: all(re.search("ERROR.*foreign_store: beat .*every run is doubled", beat.text) for beat in beats),
        60,
        lambda: "\n".join(beat.tail() for beat in beats),
        every=0.1,
    )
    assert time.monotonic() - started < 60
    assert all("pyncette_store_url" in beat.text for beat in beats)

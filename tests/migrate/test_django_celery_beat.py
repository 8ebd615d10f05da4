"""A thousand periodic tasks that django-celery-beat's own models wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from celery_pyncette.core.records import Pause
from tests.cli.setting import call
from tests.migrate.setting import CHECKOUT, Source, Target, made, proven

pytestmark = pytest.mark.timeout(300)
GAP = "clocks change in Europe/Berlin, and here another rule holds then"
AT_ONCE = "django-celery-beat runs it at once: its start has passed, and it never ran"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("dcb") / "db.sqlite3"
    return made("dcb", "django-celery-beat", f"sqlite:///{path}", str(path))


@pytest.fixture(scope="module")
def target() -> Target:
    return Target()


@pytest.fixture(scope="module")
def told(source: Source, target: Target) -> dict[str, dict]:
    return proven(source, target)


def test_a_thousand_tasks_are_due_as_in_django_celery_beat(told: dict[str, dict]):
    assert len(told) == 1017
    differing = {name: entry["differs"] for name, entry in told.items() if entry["differs"]}
    assert {reason for name, reason in differing.items() if name.startswith("crontab")} == {GAP}
    assert 10 < len(differing) < 60
    assert [name for name in differing if not name.startswith("crontab")] == []


def test_what_is_over_or_static_is_left_out(told: dict[str, dict]):
    left = {name: entry["fate"] for name, entry in told.items() if entry["fate"] != "created"}
    over = ("off-once", "ran-once", "expired", "ends-before")
    assert left == {"static": "static", **dict.fromkeys(over, "over")}


def test_what_a_task_says_is_carried_over(told: dict[str, dict], target: Target):
    off = target.record("off")
    assert off.paused == Pause(note="switched off in django-celery-beat", catch_up="none")
    assert target.record("once").spec.max_runs == 1
    ends = target.record("ends").spec
    assert ends.end is not None
    assert ends.options["expires"].endswith("Z")
    routed = target.record("routed").spec
    assert routed.options == {"exchange": "x", "routing_key": "y", "headers": {"tenant": "a"}}
    assert told["tiny"]["notes"] == ["its interval is rounded to whole milliseconds"]
    started = target.record("started")
    assert (started.spec.start, started.counters.started) == (None, 3)
    assert target.record("starts").due_at == target.record("starts").spec.start
    zones = {record.spec.timezone for name, record in target.records().items() if name.startswith("crontab")}
    assert {"Asia/Kolkata", "Australia/Lord_Howe"} <= zones


PROJECT = """
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django_celery_beat"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {path!r}}}}},
    USE_TZ=True,
)
import django
django.setup()
from celery import Celery
app = Celery("shop", broker="memory://")
app.conf.update(timezone="Europe/Berlin", pyncette_store_url="sqlite:///{store}", result_expires=None,
    beat_schedule={{"static": {{"task": "t", "schedule": 5.0}}}})
"""


def test_a_django_project_is_read_through_its_own_models(source: Source, told: dict[str, dict], tmp_path: Path):
    database = source.place.removeprefix("sqlite:///")
    (tmp_path / "proj.py").write_text(PROJECT.format(path=database, store=tmp_path / "store"))
    command = [sys.executable, "-m", "celery", "-A", "proj", "pyncette", "import", "--from", "django-celery-beat"]
    done = subprocess.run(
        [*command, "--dry-run", "--json", "--limit", "2000"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["notes"][0].startswith("compared with an empty store")
    assert not (tmp_path / "store").exists()
    through_models = {entry["name"]: entry for entry in answer["entries"]}
    moving = ("due_here", "due_here_ms", "due_there", "due_there_ms")
    for name, entry in through_models.items():
        same = {key: value for key, value in entry.items() if key not in moving}
        assert same == {key: value for key, value in told[name].items() if key not in moving}
    assert through_models.keys() == told.keys()


def test_without_a_project_and_a_source_it_says_what_to_do():
    result = call(Target().app, "import", "--from", "django-celery-beat")
    assert result.exit_code == 2
    assert "say with --source" in result.stderr


def test_a_database_without_its_tables_is_one_line(tmp_path: Path):
    (tmp_path / "empty.sqlite3").touch()
    source = Source("django-celery-beat", f"sqlite:///{tmp_path}/empty.sqlite3", {})
    result = call(Target().app, "import", "--from", source.scheduler, "--source", source.place)
    assert result.exit_code == 3
    assert "no such table: django_celery_beat_periodictask" in result.stderr
    assert result.stderr.count("\n") == 1

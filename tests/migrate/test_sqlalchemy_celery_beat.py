"""A thousand periodic tasks that sqlalchemy-celery-beat's own models wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.setting import call
from tests.migrate.setting import Target, made, proven

pytestmark = pytest.mark.timeout(240)
GAP = "clocks change in Europe/Berlin, and here another rule holds then"
STARTS = "sqlalchemy-celery-beat runs it at its start, whether its crontab matches or not"


def test_a_thousand_tasks_are_due_as_in_sqlalchemy_celery_beat(tmp_path: Path):
    path = tmp_path / "schedule.sqlite3"
    target = Target()
    told = proven(made("sqlalchemy_beat", "sqlalchemy-celery-beat", f"sqlite:///{path}", str(path)), target)
    assert len(told) == 1007
    differing = {name: entry["differs"] for name, entry in told.items() if entry["differs"]}
    assert set(differing.values()) == {GAP, STARTS}
    assert [name for name, reason in differing.items() if reason == STARTS] == ["starts-daily"]
    assert {name for name, entry in told.items() if entry["fate"] == "over"} == {"ran-once", "expired"}
    assert "workers throw it away" in told["ends"]["notes"][0]
    assert target.record("off").paused is not None


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path):
    place = f"sqlite:///{tmp_path}/none.sqlite3"
    app = Target(beat_dburi=place).app
    result = call(app, "import", "--from", "sqlalchemy-celery-beat")
    assert result.exit_code == 3
    assert "there is no such file" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_source_is_one_line():
    result = call(Target().app, "import", "--from", "sqlalchemy-celery-beat")
    assert (result.exit_code, "beat_dburi is not set" in result.stderr) == (2, True)
    result = call(Target().app, "import", "--from", "sqlalchemy-celery-beat", "--source", "nonsense")
    assert (result.exit_code, "is no URL of a database" in result.stderr) == (2, True)

"""A thousand entries of a schedule file that stock beat wrote."""

from __future__ import annotations

import pickle
import shelve
from pathlib import Path

import pytest
from celery.beat import ScheduleEntry
from celery.schedules import crontab, schedule

from tests.cli.setting import call
from tests.migrate.setting import Source, Target, made, proven

pytestmark = pytest.mark.timeout(240)


def test_a_thousand_entries_are_due_as_in_stock_beat(tmp_path: Path):
    source = made("stock", "shelve", str(tmp_path / "schedule"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    target = Target()
    told = proven(source, target)
    assert len(told) == 1000
    differing = [entry for entry in told.values() if entry["differs"]]
    assert 10 < len(differing) < 60
    assert {entry["differs"] for entry in differing} == {
        "clocks change in Europe/Berlin, and here another rule holds then"
    }
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    name = next(name for name in told if name.startswith("interval"))
    record = target.record(name)
    assert record.recent[-1].due_at == told[name]["last_run_at_ms"]
    assert record.counters.expected == record.counters.started > 0


def write(path: Path, entries: dict[str, object]) -> Source:
    with shelve.open(str(path)) as shelf:
        shelf["entries"] = entries
    return Source("shelve", str(path), {})


class Planted:
    def __reduce__(self):
        return exec, ("raise SystemExit('it ran')",)


def test_nothing_but_plain_data_is_made(tmp_path: Path):
    source = write(tmp_path / "s", {"bad": ScheduleEntry("bad", "t", schedule=schedule(60), args=(Planted(),))})
    result = call(Target().app, "import", "--from", "shelve", "--source", source.place)
    assert result.exit_code == 2
    assert "refers to builtins.exec" in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_cannot_be_an_entry_costs_only_itself(tmp_path: Path):
    entries = {
        "static": ScheduleEntry("static", "t", schedule=schedule(60)),
        "set": ScheduleEntry("set", "t", schedule=schedule(60), args=({1, 2},)),
        "linked": ScheduleEntry("linked", "t", schedule=crontab(hour=4), options={"link": "x", "queue": "q"}),
        "": ScheduleEntry("", "t", schedule=schedule(60)),
        "no-entry": 5,
    }
    target = Target()
    answer = target.take(write(tmp_path / "s", entries), code=1)
    fates = {entry["name"]: entry["fate"] for entry in answer["entries"]}
    assert fates == {"static": "static", "set": "refused", "linked": "created", "": "refused", "no-entry": "refused"}
    assert target.records().keys() == {"linked"}
    linked = next(entry for entry in answer["entries"] if entry["name"] == "linked")
    assert "options.link" in linked["notes"][0]
    assert target.record("linked").spec.options == {"queue": "q"}


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path):
    result = call(Target().app, "import", "--from", "shelve", "--source", str(tmp_path / "none"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no schedule file" in result.stderr


def test_a_pickle_that_is_cut_off_is_one_line(tmp_path: Path):
    path = tmp_path / "s"
    with shelve.open(str(path)) as shelf:
        shelf["entries"] = pickle.dumps([1, 2, 3])[:5]
    result = call(Target().app, "import", "--from", "shelve", "--source", str(path))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1

"""Stock beat's schedule file: what stock beat writes is read back; nothing in it is ever run, made or changed."""

import dbm
import dbm.dumb
import os
import pickle
import shelve
import sqlite3
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import crontab, schedule

from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.instants import instant_of
from celery_pyncette.core.records import EntrySpec, Origin
from celery_pyncette.core.schedules import Every
from celery_pyncette.migrate.shelve import Seed, read_last_runs, seed_due
from tests.translate.real import OffsettingSchedule

LAST = datetime(2026, 3, 27, 10, 20, 30, 5000, tzinfo=timezone.utc)
ENTRIES = {
    "cron": {"task": "t", "schedule": crontab(hour=4), "options": {"expires": 60}},
    "every": {"task": "t", "schedule": timedelta(seconds=30), "args": (1, {"a": {2}})},
}


def write(path, entries=ENTRIES, zone="Europe/Berlin"):
    """As ``celery beat`` does it: start, one run of each entry, stop."""
    app = Celery("proj", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(timezone=zone, beat_schedule=entries)
    beat = PersistentScheduler(app, schedule_filename=str(path))
    for entry in beat.schedule.values():
        entry.last_run_at = LAST.astimezone(ZoneInfo(zone))
    beat.sync()
    beat.close()


def listing(directory):
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in directory.iterdir()}


def test_what_stock_beat_wrote_is_read_and_left_as_it_was(tmp_path):
    path = tmp_path / "celerybeat-schedule"
    write(path)
    before = listing(tmp_path)
    seed = read_last_runs(path)
    assert seed.reason is None
    assert {name: seed.last_runs[name] for name in ENTRIES} == dict.fromkeys(ENTRIES, instant_of(LAST))
    assert seed.path.startswith(str(path))
    assert listing(tmp_path) == before


def test_a_stock_beat_that_still_runs_is_no_hindrance(tmp_path):
    path = tmp_path / "celerybeat-schedule"
    write(path)
    with shelve.open(str(path), writeback=True):
        assert set(ENTRIES) <= set(read_last_runs(path).last_runs)


def _dumb(path, value):
    with dbm.dumb.open(str(path), "n") as shelf:
        shelf[b"entries"] = value


def _default(path, value):
    with dbm.open(str(path), "n") as shelf:
        shelf[b"entries"] = value


def _sqlite(path, value):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
    connection.execute("INSERT INTO Dict VALUES (?, ?)", (b"entries", value))
    connection.commit()
    connection.close()


WRITERS = pytest.mark.parametrize("write_kind", [_default, _dumb, _sqlite])


def stock(last_run_at=LAST, **fields):
    return ScheduleEntry(**{"name": "e", "task": "t", "schedule": schedule(30), "last_run_at": last_run_at, **fields})


@WRITERS
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_all_kinds_of_files_and_pickles(tmp_path, write_kind, protocol):
    entries = {
        "e": stock(),
        "naive": stock(LAST.replace(tzinfo=None)),
        "zone": stock(LAST.astimezone(ZoneInfo("Asia/Tokyo"))),
    }
    write_kind(tmp_path / "file", pickle.dumps(entries, protocol))
    before = listing(tmp_path)
    seed = read_last_runs(tmp_path / "file")
    assert seed.last_runs == dict.fromkeys(entries, instant_of(LAST)), seed.reason
    assert listing(tmp_path) == before


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@WRITERS
def test_a_malicious_pickle_is_not_run(tmp_path, write_kind, caplog):
    made = tmp_path / "made"
    write_kind(tmp_path / "file", pickle.dumps({"e": stock(), "evil": Evil(made)}))
    seed = read_last_runs(tmp_path / "file")
    assert not made.exists()
    assert seed.last_runs == {}
    assert "posix.mkdir" in seed.reason or "nt.mkdir" in seed.reason
    assert any("seed_unreadable" in line for line in caplog.messages)
    assert pickle.loads(pickle.dumps(Evil(made))) is None  # proof that the pickle would have worked
    assert made.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(V1/0\ntR.",
        b"cos\nsystem\n(Vfalse\ntR.",
        b"cbuiltins\ngetattr\n(cdatetime\ndatetime\nV__class__\ntR.",
    ],
)
def test_hand_made_pickles(tmp_path, payload):
    _dumb(tmp_path / "file", payload)
    seed = read_last_runs(tmp_path / "file")
    assert seed.last_runs == {}
    assert "neither Celery's nor plain data" in seed.reason


def test_a_class_that_is_not_celerys_costs_the_seed_and_is_named(tmp_path):
    entries = {"e": stock(schedule=OffsettingSchedule(timedelta(1), timedelta(1)))}
    _dumb(tmp_path / "file", pickle.dumps(entries))
    assert "OffsettingSchedule" in read_last_runs(tmp_path / "file").reason


def test_absent_empty_and_corrupt_files_give_a_reason(tmp_path):
    assert read_last_runs(tmp_path / "no") == Seed(reason="there is no schedule file")
    for number, content in enumerate((b"", b"garbage" * 100, b"SQLite format 3\x00" + b"x" * 100)):
        path = tmp_path / f"file{number}"
        path.write_bytes(content)
        seed = read_last_runs(path)
        assert (seed.last_runs, seed.path) == ({}, str(path))
        assert seed.reason
    for number, value in enumerate((b"", b"\x80", pickle.dumps([1]), pickle.dumps({1: 2}))):
        _dumb(tmp_path / f"dumb{number}", value)
        assert read_last_runs(tmp_path / f"dumb{number}").last_runs == {}
    assert sorted(file.name for file in tmp_path.iterdir())[-3:] == ["file0", "file1", "file2"]


def test_an_interval_goes_on_from_its_last_run():
    spec = EntrySpec(name="e", task="t", origin=Origin.STATIC)
    last, now = instant_of(LAST), instant_of(LAST + timedelta(hours=1))
    times = times_of(spec, Every(30), ZoneInfo("UTC"), now)
    assert times.next_after(last) == now + 30_000
    assert seed_due(times, last) == last + 30_000

"""`list`: what is in the store, beside what is configured."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery.schedules import crontab

from celery_pyncette.core.instants import NEVER, Instant, show
from celery_pyncette.core.records import Lease, Outcome, Pause, Recent, Run, Token
from celery_pyncette.core.schedules import Every
from tests.cli.setting import SCHEDULE, Shop, app_of, call, document


@pytest.fixture
def shop() -> Shop:
    return Shop()


def entry(shop: Shop, name: str = "sync", app=None) -> dict:
    found = [each for each in document(app or shop.app, "list")["entries"] if each["name"] == name]
    assert len(found) == 1
    return found[0]


def test_entries_are_listed_by_name_with_their_due_times(shop: Shop):
    answer = document(shop.app, "list")
    assert [each["name"] for each in answer["entries"]] == ["report", "sync"]
    assert answer["namespace"] == "shop"
    assert answer["more"] is False
    assert answer["notes"] == []
    sync = answer["entries"][1]
    assert sync["due_at_ms"] == shop.record().due_at
    assert sync["due_at"] == show(shop.record().due_at)
    assert sync["schedule"] == "every 30 s"
    assert (sync["state"], sync["here"], sync["in_store"]) == ("waiting", "same", True)


def test_the_keys_of_the_document_stay(shop: Shop):
    """Machines read this: a key that is renamed or lost needs another `format`."""
    shop.change(
        recent=(Recent(due_at=Instant(5), outcome="sent"),),
        paused=Pause(note="x"),
        run=Run(due_at=Instant(5), generation="g"),
    )
    answer = document(shop.app, "list")
    assert answer["format"] == 1
    assert list(answer) == ["format", "namespace", "store", "now", "now_ms", "entries", "more", "rejected", "notes"]
    sync = answer["entries"][1]
    assert list(sync) == [
        *("name", "origin", "task", "schedule", "timezone", "state", "in_store", "here", "due_at", "due_at_ms"),
        *("late_ms", "paused", "run", "last_run", "expected", "started", "skipped"),
    ]
    assert list(sync["paused"]) == ["note", "until", "until_ms"]
    assert list(sync["run"]) == [
        *("due_at", "due_at_ms", "attempt", "task_id", "dispatched_at", "dispatched_at_ms"),
        *("started_at", "started_at_ms", "worker"),
    ]
    assert list(sync["last_run"]) == [
        *("due_at", "due_at_ms", "outcome", "reason", "attempt", "task_id", "dispatched_at", "dispatched_at_ms"),
        *("started_at", "started_at_ms", "ended_at", "ended_at_ms", "lag_ms", "beat", "worker"),
    ]


def test_the_last_run_and_how_late_it_was_sent(shop: Shop):
    line = Recent(due_at=Instant(60_000), outcome="sent", dispatched_at=Instant(61_250), beat="b", task_id="t")
    shop.change(recent=(Recent(due_at=Instant(30_000), outcome="skipped"), line))
    last = entry(shop)["last_run"]
    assert (last["outcome"], last["lag_ms"], last["due_at"]) == ("sent", 1250, "1970-01-01T00:01:00.000Z")
    assert "1970-01-01T00:01:00Z  sent     1.2 s" in call(shop.app, "list").stdout


RUNNING = Run(due_at=Instant(0), generation="g", started_at=Instant(1), worker="w", token=Token(1))
STATES = [
    ("waiting", {}),
    ("due", {"due_at": Instant(1000)}),
    ("claimed", {"due_at": Instant(1000), "lease": Lease(owner="b", until=Instant(0)), "lease_for": 60_000}),
    ("held back", {"lease": Lease(owner="", until=Instant(0)), "lease_for": 60_000}),
    ("running", {"run": RUNNING, "lease": Lease(owner="w", until=Instant(0)), "lease_for": 60_000}),
    ("reported", {"run": Run(due_at=Instant(0), generation="g", started_at=Instant(1), outcome=Outcome.FAILED)}),
    ("to send", {"run": Run(due_at=Instant(0), generation="g")}),
    ("sent", {"run": Run(due_at=Instant(0), generation="g", dispatched_at=Instant(1))}),
    ("paused", {"paused": Pause(note="stocktaking")}),
    ("waiting", {"paused": Pause(until=Instant(5))}),
    ("exhausted", {"due_at": NEVER}),
    ("dead letter", {"due_at": NEVER, "dead": NEVER}),
]


@pytest.mark.parametrize(("state", "fields"), STATES, ids=[f"{n}-{s}" for n, (s, _) in enumerate(STATES)])
def test_the_state_is_what_the_record_is_doing(shop: Shop, state: str, fields: dict):
    shop.change(**fields)
    assert entry(shop)["state"] == state


def test_what_is_due_says_since_when(shop: Shop):
    shop.change(due_at=Instant(shop.now - 5_000))
    assert 5_000 <= entry(shop)["late_ms"] < 65_000
    assert entry(shop, "report")["late_ms"] is None


def test_a_disabled_entry_says_so():
    app = app_of("memory://disabled", {"off": {"task": "t", "schedule": 5, "enabled": False}})
    found = entry(Shop(app), "off")
    assert (found["state"], found["due_at"]) == ("disabled", None)


def test_what_is_configured_but_in_no_store_is_new(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {**SCHEDULE, "extra": {"task": "t", "schedule": 5}})
    found = entry(shop, "extra", app)
    assert (found["state"], found["in_store"]) == ("new", False)
    assert 0 < found["due_at_ms"] - document(app, "list")["now_ms"] <= 5_000


def test_what_is_in_the_store_but_not_configured_is_not_defined_here(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {"sync": SCHEDULE["sync"]})
    assert entry(shop, "report", app)["here"] == "not defined"
    assert "waiting, not defined here" in call(app, "list").stdout


def test_another_schedule_than_the_configured_one_is_shown(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {**SCHEDULE, "sync": {"task": "shop.sync", "schedule": 31}})
    assert entry(shop, "sync", app)["here"] == "other schedule"
    assert entry(shop, "sync", app)["schedule"] == "every 30 s"


def test_tombstones_are_not_entries(shop: Shop):
    shop.deploy(app_of(shop.app.conf.pyncette_store_url, {"gone": {"task": "t", "schedule": 5}}))
    shop.change("gone", removed=True, due_at=NEVER)
    assert [each["name"] for each in document(shop.app, "list")["entries"]] == ["report", "sync"]


def names(shop: Shop, *args: str) -> list[str]:
    return [each["name"] for each in document(shop.app, "list", *args)["entries"]]


def test_filters(shop: Shop):
    shop.add("sales.1", schedule=Every(10))
    shop.add("sales.2", schedule=Every(10), paused=Pause())
    shop.add("rest", schedule=Every(10))
    shop.change("report", paused=Pause())
    assert names(shop) == ["report", "rest", "sales.1", "sales.2", "sync"]
    assert names(shop, "--origin", "dynamic") == ["rest", "sales.1", "sales.2"]
    assert names(shop, "--origin", "static") == ["report", "sync"]
    assert names(shop, "--paused") == ["report", "sales.2"]
    assert names(shop, "--prefix", "sales") == ["sales.1", "sales.2"]
    assert names(shop, "--name", "*.1") == ["sales.1"]
    assert names(shop, "--name", "re*t") == ["report", "rest"]
    assert names(shop, "--name", "s*", "--prefix", "sy") == ["sync"]
    assert names(shop, "--name", "sync") == ["sync"]


def test_the_limit_cuts_and_says_so(shop: Shop):
    for number in range(700):
        shop.add(f"user.{number:03}", schedule=Every(10))
    assert len(names(shop)) == 702
    answer = document(shop.app, "list", "--limit", "600")
    assert len(answer["entries"]) == 600
    assert answer["more"] is True
    assert "--limit" in call(shop.app, "list", "--limit", "600").stderr


def test_the_table_is_aligned_and_the_same_whatever_the_width(shop: Shop):
    narrow, wide = call(shop.app, "list", columns=20), call(shop.app, "list", columns=300)
    assert narrow.stdout == wide.stdout
    lines = narrow.stdout.splitlines()
    assert lines[0].startswith("NAME    ORIGIN  SCHEDULE")
    at = lines[0].index("SCHEDULE")
    assert [line[at - 2 : at] for line in lines] == ["  "] * 3
    assert [line[at:].split("  ")[0] for line in lines[1:]] == ["crontab: 30 2 * * *", "every 30 s"]


def test_names_cannot_play_with_the_terminal():
    app = app_of("memory://names", {"a\x1b[2Jb\u202ec": {"task": "t", "schedule": 5}})
    Shop(app)
    shown = call(app, "list").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "a\\x1b[2Jb\\u202ec" in shown


def test_where_no_beat_has_started_the_configuration_is_listed(tmp_path: Path):
    app = app_of(f"sqlite:///{tmp_path}/none.sqlite3")
    result = call(app, "list")
    assert result.exit_code == 0
    assert "unknown" in result.stdout
    assert result.stderr.startswith("from the configuration alone: ")
    assert list(tmp_path.iterdir()) == []
    answer = document(app, "list")
    assert [each["state"] for each in answer["entries"]] == ["unknown", "unknown"]
    assert "no such file" in answer["notes"][0]


def test_a_namespace_that_nobody_founded_is_listed_from_the_configuration():
    result = call(app_of("memory://empty"), "list")
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert "memory://empty: the namespace is not in the store" in result.stderr


def test_entries_that_cannot_be_used_are_told(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {**SCHEDULE, "bad": {"task": "t", "schedul": 5}})
    assert list(document(app, "list")["rejected"]) == ["bad"]
    assert "1 entry of the configuration cannot be used" in call(app, "list").stderr


def test_without_a_store_url_it_is_wrong_use():
    result = call(app_of(None), "list")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: pyncette_store_url is not set")
    assert result.stderr.count("\n") == 1


def test_no_entries_at_all():
    app = app_of("memory://nothing")
    app.conf.beat_schedule = {}
    Shop(app)
    assert call(app, "list").stdout == "no entries\n"
    assert document(app, "list")["entries"] == []


def test_a_crontab_is_shown_as_it_was_written():
    app = app_of("memory://written", {"c": {"task": "t", "schedule": crontab(minute="*/5", day_of_week="mon-fri")}})
    Shop(app)
    assert "crontab: */5 * * * mon-fri" in call(app, "list").stdout

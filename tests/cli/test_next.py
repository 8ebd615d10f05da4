"""`next`: from the store where there is one, else from the configuration, and it says which."""

from __future__ import annotations

import secrets

import pytest

from celery_pyncette.core.instants import NEVER, Instant, instant_of, show
from celery_pyncette.core.records import Pause
from celery_pyncette.core.schedules import Cron, Every
from tests.cli.setting import SCHEDULE, Shop, app_of, call, document


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_an_interval_goes_on_from_where_the_store_has_it(shop: Shop):
    due = Instant(shop.now + 7_123)
    shop.change(anchor=Instant(due - 30_000), due_at=due)
    answer = document(shop.app, "next", "sync", "--count", "3")
    assert answer["source"] == "store"
    assert [each["due_at_ms"] for each in answer["times"]] == [due, due + 30_000, due + 60_000]
    assert answer["times"][0]["due_at"] == show(due)
    assert answer["warnings"] == []


def test_the_keys_of_the_document_stay(shop: Shop):
    answer = document(shop.app, "next", "report")
    assert list(answer) == [
        *("format", "namespace", "store", "name", "origin", "task", "schedule", "source", "zone", "now", "now_ms"),
        *("times", "warnings", "reason"),
    ]
    assert list(answer["times"][0]) == ["due_at", "due_at_ms", "local"]
    assert len(answer["times"]) == 5


def test_local_times_are_in_the_zone_of_the_entry_or_the_one_asked_for(shop: Shop):
    assert {each["local"][11:16] for each in document(shop.app, "next", "report")["times"]} == {"02:30"}
    asked = document(shop.app, "next", "report", "--tz", "Asia/Kolkata")
    assert asked["zone"] == "Asia/Kolkata"
    assert {each["local"][-6:] for each in asked["times"]} == {"+05:30"}


def test_without_a_store_url_the_configuration_answers_and_says_so():
    app = app_of(None)
    result = call(app, "next", "sync")
    assert result.exit_code == 0
    assert "from the configuration alone: pyncette_store_url is not set" in result.stderr
    answer = document(app, "next", "sync")
    assert answer["source"] == "configuration"
    assert answer["times"][0]["due_at_ms"] == answer["now_ms"] + 30_000


def test_an_entry_that_is_not_in_the_store_yet(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {"fresh": {"task": "t", "schedule": 5}})
    answer = document(app, "next", "fresh")
    assert (answer["source"], "does not have it yet" in answer["reason"]) == ("configuration", True)


def test_a_store_that_is_away_leaves_the_configuration():
    app = app_of("redis://:geheim@127.0.0.1:1/0", pyncette_store_timeout=0.3)
    result = call(app, "next", "sync")
    assert result.exit_code == 0
    assert "every 30 s" in result.stdout
    assert "geheim" not in result.output
    assert "redis://:***@127.0.0.1:1/0" in result.stderr


def test_a_paused_entry_warns_and_says_why(shop: Shop):
    shop.change(paused=Pause(note="stocktaking"))
    result = call(shop.app, "next", "sync")
    assert "warning: it is paused until it is resumed (stocktaking)" in result.stderr
    shop.change(paused=Pause(until=Instant(shop.now + 600_000)))
    assert "it is paused until 2" in document(shop.app, "next", "sync")["warnings"][0]


def test_an_overdue_entry_shows_what_waits_and_then_the_future(shop: Shop):
    due = Instant(shop.now - 95_000)
    shop.change(anchor=Instant(due - 30_000), due_at=due)
    answer = document(shop.app, "next", "sync", "--count", "2")
    first, second = (each["due_at_ms"] for each in answer["times"])
    assert first == due
    assert answer["now_ms"] < second <= answer["now_ms"] + 30_000
    assert "it has been due for 1 m 35 s" in answer["warnings"][0]


def test_another_schedule_in_the_store_is_told(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {**SCHEDULE, "sync": {"task": "shop.sync", "schedule": 45}})
    answer = document(app, "next", "sync", "--count", "2")
    assert "another schedule, every 30 s" in answer["warnings"][0]
    first, second = (each["due_at_ms"] for each in answer["times"])
    assert second - first == 45_000


NEVER_FIRES = {
    "never": {"task": "t", "schedule": "0 0 30 2 *"},
    "off": {"task": "t", "schedule": 5, "enabled": False},
    "night": {"task": "t", "schedule": "30 2 * * *"},
}


@pytest.mark.parametrize("url", [None, "memory://never-fires"])
def test_what_never_fires_warns(url: str | None):
    app = app_of(url, NEVER_FIRES)
    if url is not None:
        Shop(app)
    for name, words in (("never", "it never fires"), ("off", "it is disabled")):
        answer = document(app, "next", name)
        assert answer["times"] == []
        assert words in answer["warnings"][0]
        assert call(app, "next", name).exit_code == 0


def test_each_clock_change_within_what_is_shown_warns_once():
    app = app_of(None, NEVER_FIRES)
    year = document(app, "next", "night", "--count", "366")["warnings"]
    assert sum("does not exist in Europe/Berlin" in text for text in year) == 1
    assert sum("exists twice in Europe/Berlin" in text for text in year) == 1


def test_a_dynamic_entry_says_itself_what_it_is(shop: Shop):
    from datetime import datetime, timezone

    due = instant_of(datetime(2031, 1, 1, tzinfo=timezone.utc))
    shop.add("user.1", schedule=Cron("0 0 1 1 *", timezone="UTC"), due_at=due)
    answer = document(shop.app, "next", "user.1", "--count", "2")
    assert [each["due_at"] for each in answer["times"]] == ["2031-01-01T00:00:00.000Z", "2032-01-01T00:00:00.000Z"]
    assert (answer["origin"], answer["task"]) == ("dynamic", "shop.dynamic")


def test_a_name_that_is_both_asks_for_the_origin(shop: Shop):
    shop.add("sync", schedule=Every(10), due_at=Instant(shop.now + 10_000))
    result = call(shop.app, "next", "sync")
    assert (result.exit_code, "add --origin" in result.stderr) == (2, True)
    assert document(shop.app, "next", "sync", "--origin", "dynamic")["task"] == "shop.dynamic"
    assert document(shop.app, "next", "sync", "--origin", "static")["task"] == "shop.sync"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("syncc",), "there is no entry 'syncc'; did you mean 'sync'?"),
        (("sync", "--origin", "dynamic"), "there is no entry 'sync'"),
        (("sync", "--tz", "Moon/Tycho"), "Moon/Tycho"),
        (("bad",), "'schedul' is no key of an entry"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(args: tuple[str, ...], words: str):
    app = app_of(f"memory://{secrets.token_hex(4)}", {**SCHEDULE, "bad": {"task": "t", "schedul": 5}})
    Shop(app)
    result = call(app, "next", *args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert (result.stderr.startswith("Error: "), result.stderr.count("\n")) == (True, 1)


def test_what_only_other_beats_define_cannot_be_computed(shop: Shop):
    app = app_of(shop.app.conf.pyncette_store_url, {"sync": SCHEDULE["sync"]})
    result = call(app, "next", "report")
    assert (result.exit_code, "not in this app's beat_schedule" in result.stderr) == (2, True)


def test_an_exhausted_entry_never_fires(shop: Shop):
    shop.change(due_at=NEVER)
    assert document(shop.app, "next", "sync")["times"] == []

"""`show`: everything about one entry."""

from __future__ import annotations

import re

import pytest

from celery_pyncette.client import schedule_task
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Lease, Recent, Run, Token
from tests.cli.setting import Shop, app_of, call, document


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_dynamic_entry_with_its_run_lease_and_last_runs(shop: Shop):
    schedule_task("shop.hi", "hello", interval=30, kwargs={"password": "geheim"}, tenant="acme", app=shop.app)
    run = Run(due_at=Instant(60_000), generation="g", started_at=Instant(61_000), worker="w@1", token=Token(1))
    past = Recent(due_at=Instant(5_000), outcome="failed", dispatched_at=Instant(6_500), started_at=Instant(7_000))
    shop.change(run=run, recent=(past,), lease=Lease(owner="w@1", until=Instant(0)), lease_for=60_000)
    shown = call(shop.app, "show", "hello").stdout
    assert "tenant       acme" in shown
    assert "kwargs password (--payload shows them)" in shown
    assert "geheim" not in shown
    assert "geheim" in call(shop.app, "show", "hello", "--payload").stdout
    running = call(shop.app, "show", "sync").stdout
    assert re.search(r"run started +1970-01-01T00:01:01Z \(.* ago\) on w@1\n", running)
    assert "1970-01-01T00:00:05Z  failed   1.5 s" in running
    assert "lease" in running


def test_the_keys_of_the_document_stay(shop: Shop):
    answer = document(shop.app, "show", "sync")
    assert list(answer) == ["format", "namespace", "store", "now", "now_ms", "source", "entry", "policy", "notes"]
    assert list(answer["entry"]) == [
        *("name", "origin", "task", "schedule", "timezone", "state", "due_at", "due_at_ms", "start", "start_ms"),
        *("end", "end_ms", "max_runs", "jitter", "tenant", "paused", "run", "lease", "expected", "started", "skipped"),
        *("recent", "dead_until", "dead_until_ms", "created_at", "created_at_ms", "key", "generation", "version"),
    ]
    assert answer["policy"]["delivery"] == {"value": "at_least_once", "from": "default"}


def test_the_policy_says_which_level_decides():
    app = app_of(
        "memory://levels", pyncette_lease=90, pyncette_policies={"hel*": {"catch_up": "all"}, "hello": {"grace": 60}}
    )

    @app.task(name="shop.hi", pyncette_delivery="at_most_once")
    def hi() -> None: ...

    Shop(app)
    schedule_task("shop.hi", "hello", interval=30, policy={"on_failure": "accept"}, app=app)
    policy = document(app, "show", "hello")["policy"]
    assert policy["on_failure"] == {"value": "accept", "from": "the entry itself"}
    assert policy["grace"] == {"value": 60_000, "from": "pyncette_policies['hello']"}
    assert policy["catch_up"] == {"value": "all", "from": "pyncette_policies['hel*']"}
    assert policy["delivery"] == {"value": "at_most_once", "from": "task shop.hi"}
    assert policy["lease"] == {"value": 90_000, "from": "pyncette_lease"}
    assert policy["backoff"] == {"value": [10_000, 3_600_000], "from": "default"}


def test_an_entry_that_no_beat_has_written_is_shown_from_the_configuration():
    answer = document(app_of("memory://unfounded"), "show", "report")
    assert (answer["source"], answer["entry"]["state"]) == ("configuration", "new")
    assert "from the configuration alone" in answer["notes"][0]


def test_arguments_of_a_static_entry_come_from_the_configuration():
    entry = {"task": "t", "schedule": 5.0, "args": (1, 2), "options": {"queue": "q"}}
    shop = Shop(app_of("memory://static-arguments", {"both": entry}))
    assert "2 args, options queue" in call(shop.app, "show", "both").stdout
    schedule_task("t", "mine", interval=5, app=shop.app)
    assert document(shop.app, "show", "both", "--payload")["entry"]["args"] == [1, 2]


def test_a_name_that_nobody_knows(shop: Shop):
    result = call(shop.app, "show", "repport")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean 'report'?" in result.stderr

"""`add`, `pause`, `resume`, `run`, `remove`: the operator's hands."""

from __future__ import annotations

import pytest

from celery_pyncette.client import get_task, schedule_task
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record
from celery_pyncette.stores.protocol import Query
from tests.cli.setting import Shop, app_of, call, document, has_task


@pytest.fixture
def shop() -> Shop:
    return Shop()


def record(shop: Shop, key: str) -> Record | None:
    return shop.store.fetch([Key(key)]).records[0]


def test_an_entry_is_added_left_alone_and_replaced(shop: Shop):
    line = ("add", "hello", "--task", "shop.hi", "--interval", "30", "--args", '[1, "two"]', "--tenant", "acme")
    first = document(shop.app, *line)
    assert list(first) == ["format", "namespace", "store", "now", "now_ms", "done", "entry"]
    assert (first["done"], first["entry"]["schedule"], first["entry"]["tenant"]) == ("created", "every 30 s", "acme")
    assert document(shop.app, *line)["done"] == "unchanged"
    assert document(shop.app, *line, "--force")["done"] == "replaced"
    stored = record(shop, "d:hello")
    assert stored is not None
    assert stored.spec.args == (1, "two")
    assert call(shop.app, *line).stdout.startswith("unchanged 'hello': next due ")


def test_everything_that_can_be_said_of_an_entry(shop: Shop):
    options = ("--kwargs", '{"a": 1}', "--options", '{"queue": "slow"}', "--timezone", "Asia/Tokyo", "--max-runs", "3")
    span = ("--start", "2030-01-01T00:00", "--end", "2031-01-01T00:00Z")
    assert call(shop.app, "add", "x", "--task", "t", "--schedule", "0 9 * * *", *options, *span).exit_code == 0
    state = get_task("x", app=shop.app)
    assert state is not None
    assert (state.spec.kwargs, state.spec.options, state.spec.max_runs) == ({"a": 1}, {"queue": "slow"}, 3)
    assert state.next_due is not None
    assert state.next_due.isoformat() == "2030-01-01T00:00:00+00:00"  # nine o'clock in Tokyo
    assert call(shop.app, "add", "once", "--task", "t", "--at", "2030-01-01T12:00:00+01:00").exit_code == 0


WRONG = [
    (("x", "--task", "t"), "exactly one of schedule, interval and execute_at"),
    (("x", "--task", "t", "--interval", "5", "--at", "2030-01-01T00:00Z"), "exactly one of"),
    (("x", "--task", "t", "--at", "tomorrow"), "is no ISO 8601 time"),
    (("x", "--task", "t", "--at", "2030-01-01T00:00"), "has no time zone"),
    (("x", "--task", "t", "--interval", "5", "--args", "{"), "--args is not JSON"),
    (("x", "--task", "t", "--interval", "5", "--args", "0"), "must be a list"),
    (("x", "--task", "t", "--interval", "5", "--options", '{"link": 1}'), "is not accepted in an entry"),
    (("x", "--task", "t", "--schedule", "61 * * * *"), "is not a cron string"),
    (("sync", "--task", "t", "--interval", "5"), "is a static entry"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_cannot_be_added_is_refused_in_one_line(shop: Shop, given: tuple[str, ...], said: str):
    result = call(shop.app, "add", *given)
    assert result.exit_code == 2
    assert said in result.stderr
    assert list(shop.store.scan(Query(prefix="d:")).records) == []


def test_a_task_that_the_app_does_not_have_is_added_with_a_note(shop: Shop):
    line = ("add", "x", "--interval", "5", "--task")
    has_task(shop.app, "shop.mail")
    noted = call(shop.app, *line, "shop.mial")
    assert noted.exit_code == 0
    assert "this app has no task 'shop.mial'" in noted.stderr
    assert "Did you mean 'shop.mail'?" in noted.stderr
    assert call(shop.app, *line, "shop.mail").stderr == ""


def test_the_allow_list_holds_for_operators_too():
    shop = Shop(app_of("memory://allowed", pyncette_allowed_tasks=["shop.*"]))
    result = call(shop.app, "add", "x", "--task", "os.system", "--interval", "5")
    assert (result.exit_code, "pyncette_allowed_tasks does not name it" in result.stderr) == (2, True)


def test_pause_and_resume(shop: Shop):
    until = ("--until", "2100-01-01T00:00:00Z")
    answer = document(shop.app, "pause", "sync", "--note", "stocktaking", *until)
    assert answer["done"] == "paused"
    assert answer["entry"]["paused"] == {
        "note": "stocktaking",
        "until": "2100-01-01T00:00:00.000Z",
        "until_ms": 4102444800000,
        "missed": None,
    }
    shop.change(due_at=Instant(1000))
    assert document(shop.app, "resume", "sync", "--missed", "all")["done"] == "resumed"
    resumed = shop.record().paused
    assert resumed is not None
    assert (resumed.until <= shop.now, resumed.catch_up) == (True, "all")
    assert document(shop.app, "resume", "report")["done"] == "unchanged"
    assert "has no time zone" in call(shop.app, "pause", "sync", "--until", "2100-01-01").stderr
    assert call(shop.app, "pause", "sync", "--until", "2000-01-01T00:00Z").exit_code == 2


def test_run_makes_one_more_run_and_leaves_the_due_time(shop: Shop):
    before = shop.record().due_at
    assert document(shop.app, "run", "sync")["done"] == "requested"
    children = shop.store.scan(Query(prefix="o:s:sync@")).records
    assert [child.due_at <= shop.now for child in children] == [True]
    assert shop.record().due_at == before


def test_remove_asks_first(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    schedule_task("t", "hello", interval=30, app=shop.app)
    unattended = call(shop.app, "remove", "hello")
    assert (unattended.exit_code, "say --yes" in unattended.stderr) == (2, True)
    assert record(shop, "d:hello") is not None
    assert document(shop.app, "remove", "hello", "--yes")["done"] == "removed"
    assert record(shop, "d:hello") is None


def test_remove_refuses_what_beat_schedule_defines(shop: Shop):
    result = call(shop.app, "remove", "sync", "--yes")
    assert result.exit_code == 2
    assert "take it out of beat_schedule and deploy, or let it rest with `celery pyncette pause sync`" in result.stderr
    assert shop.record().removed is False


@pytest.mark.parametrize("command", ["pause", "resume", "run", "remove"])
def test_a_name_that_nobody_knows(shop: Shop, command: str):
    result = call(shop.app, command, "nobody", *(["--yes"] if command == "remove" else []))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "there is no" in result.stderr
    assert command == "remove" or "`celery pyncette list`" in result.stderr


def test_a_name_that_is_both_asks_which(shop: Shop):
    shop.add("sync", schedule=shop.definitions(shop.app).times("sync", shop.now).schedule)
    result = call(shop.app, "pause", "sync")
    assert (result.exit_code, "say which one" in result.stderr) == (2, True)
    assert document(shop.app, "pause", "sync", "--origin", "dynamic")["entry"]["origin"] == "dynamic"
    assert shop.record().paused is None

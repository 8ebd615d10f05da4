"""`dead-letters` and `store upgrade`."""

from __future__ import annotations

from pathlib import Path

import pytest

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key, Recent, Record
from celery_pyncette.core.schedules import Once
from tests.cli.setting import Shop, app_of, call, document

GIVEN_UP = Recent(due_at=Instant(5_000), outcome="abandoned", attempt=5, reason="gave up")


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    for name in ("mail", "bill"):
        dead = {"due_at": NEVER, "dead": Instant(shop.now + 3_600_500), "recent": (GIVEN_UP,)}
        shop.add(name, schedule=Once(Instant(5_000)), **dead)
    shop.add("alive", schedule=Once(Instant(shop.now + 60_000)))
    return shop


def record(shop: Shop, name: str) -> Record | None:
    return shop.store.fetch([Key(f"d:{name}")]).records[0]


def test_they_are_listed_with_why_they_were_given_up(shop: Shop):
    answer = document(shop.app, "dead-letters", "list")
    assert list(answer) == ["format", "namespace", "store", "dead_letters", "more"]
    assert [each["name"] for each in answer["dead_letters"]] == ["bill", "mail"]
    assert list(answer["dead_letters"][0]) == [
        *("key", "name", "origin", "task", "due_at", "due_at_ms", "outcome", "reason", "attempt"),
        *("dead_until", "dead_until_ms"),
    ]
    assert answer["dead_letters"][0]["reason"] == "gave up"
    assert "d:mail  mail" in call(shop.app, "dead-letters", "list").stdout
    limited = call(shop.app, "dead-letters", "list", "--limit", "1")
    assert "only the first 1 are shown" in limited.stderr


def test_one_is_due_again(shop: Shop):
    assert document(shop.app, "dead-letters", "retry", "mail")["keys"] == ["d:mail"]
    again = record(shop, "mail")
    assert again is not None
    assert (again.dead, again.due_at <= shop.now) == (None, True)
    assert call(shop.app, "dead-letters", "retry", "mail").exit_code == 2


def test_all_are_thrown_away_after_asking(shop: Shop):
    unattended = call(shop.app, "dead-letters", "discard", "--all")
    assert unattended.exit_code == 2
    assert "Throw away 2 dead letter(s) of 'bill', 'mail': nobody is there to ask; say --yes" in unattended.stderr
    assert sorted(document(shop.app, "dead-letters", "discard", "--all", "--yes")["keys"]) == ["d:bill", "d:mail"]
    assert record(shop, "mail") is None
    assert record(shop, "alive") is not None
    assert call(shop.app, "dead-letters", "list").stdout == "no dead letters\n"


def test_which_must_be_said(shop: Shop):
    assert "say which" in call(shop.app, "dead-letters", "retry").stderr
    assert "say which" in call(shop.app, "dead-letters", "retry", "mail", "--all").stderr


def test_a_store_is_made_ready_once(tmp_path: Path):
    app = app_of(f"sqlite:///{tmp_path}/new.sqlite3")
    assert call(app, "pause", "sync").exit_code == 3
    assert not (tmp_path / "new.sqlite3").exists()
    first = document(app, "store", "upgrade")
    assert (first["changed"], "no tables" in first["before"], first["partitions"]) == (True, True, 1)
    again = document(app, "store", "upgrade")
    assert (again["changed"], again["before"], again["store_id"]) == (False, None, first["store_id"])
    assert "ready already" in call(app, "store", "upgrade").stdout


def test_a_namespace_of_another_application_is_refused(tmp_path: Path):
    app = app_of(f"sqlite:///{tmp_path}/new.sqlite3")
    document(app, "store", "upgrade")
    other = app_of(f"sqlite:///{tmp_path}/new.sqlite3", pyncette_namespace="shop")
    other.main = "other"
    result = call(other, "store", "upgrade")
    assert (result.exit_code, "belongs to" in result.stderr) == (2, True)

"""Fetching and scanning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key, Lane, Lease, Origin, Pause, Recent, Record, Token
from celery_pyncette.stores.protocol import Founding, Query, Store
from celery_pyncette.testing.contract.samples import OPEN, PAUSED, REPORTED, RUNNING, create, replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, keys, put, stored

ALL = [
    sample("d:plain", 1),
    sample("d:other-task", 2, task="tasks.other"),
    sample("d:paused", 3, paused=PAUSED),
    sample("d:dead", 4, dead=Instant(99)),
    sample("d:open", 5, run=OPEN),
    sample("d:running", 6, run=RUNNING, lease=Lease(owner="w", until=Instant(50))),
    sample("d:reported", 7, run=REPORTED),
    sample("d:tombstone", NEVER, removed=True),
    sample("e:parked", 8, lane=Lane.DELAYED, origin=Origin.DELAYED, name="plain-parked"),
    sample("o:d:plain@1@g1", 9, name="plain"),
    sample("p:beat", NEVER, lane=Lane.KEEPING, origin=Origin.KEEPING, name="beat"),
    sample("s:static", 10, origin=Origin.STATIC, name="plain-static"),
]

FILTERS: list[tuple[dict[str, Any], Callable[[Record], bool]]] = [
    ({}, lambda r: True),
    ({"prefix": "d:"}, lambda r: r.key.startswith("d:")),
    ({"prefix": "d:p"}, lambda r: r.key.startswith("d:p")),
    ({"prefix": "o:d:plain@"}, lambda r: r.key.startswith("o:")),
    ({"prefix": "nothing"}, lambda r: False),
    ({"origin": Origin.STATIC}, lambda r: r.spec.origin is Origin.STATIC),
    ({"origin": Origin.DYNAMIC}, lambda r: r.spec.origin is Origin.DYNAMIC),
    ({"origin": Origin.DELAYED}, lambda r: r.spec.origin is Origin.DELAYED),
    ({"task": "tasks.other"}, lambda r: r.spec.task == "tasks.other"),
    ({"task": "tasks.othe"}, lambda r: False),
    ({"name_prefix": "plain"}, lambda r: r.spec.name.startswith("plain")),
    ({"name_prefix": "plain", "origin": Origin.DYNAMIC}, lambda r: r.spec.name == "plain"),
    ({"name_prefix": "plain", "origin": Origin.DELAYED}, lambda r: r.key == "e:parked"),
    ({"name_prefix": ""}, lambda r: True),
    ({"paused": True}, lambda r: r.paused is not None),
    ({"paused": False}, lambda r: r.paused is None),
    ({"running": True}, lambda r: r.key == "d:running"),
    ({"running": False}, lambda r: r.key != "d:running"),
    ({"dead": True}, lambda r: r.dead is not None),
    (
        {"dead": False, "paused": False, "running": False, "prefix": "d:"},
        lambda r: r.key in ("d:plain", "d:other-task", "d:open", "d:reported", "d:tombstone"),
    ),
]


def pages(store: Store, query: Query) -> list[list[str]]:
    """The keys of every page."""
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = store.scan(query, cursor)
        assert len(page.records) <= query.limit
        found.append(keys(page.records))
        cursor = page.cursor
        if cursor is None:
            return found
        assert len(found) < 1000, "the scan does not end"


def everything(store: Store, query: Query) -> list[str]:
    return [key for page in pages(store, query) for key in page if not key.startswith("m:")]


class ReadPromises(Setting):
    def test_a_record_comes_back_as_it_was_written(self, store: Store) -> None:
        full = sample(
            "d:full",
            NEVER,
            timing="t" * 16,
            payload="p" * 16,
            created_at=Instant(1),
            anchor=Instant(-5),
            run=RUNNING,
            lease=Lease(owner="worker@host:1:ff", until=NEVER),
            paused=Pause(note="ü", until=Instant(3), catch_up="all"),
            removed=True,
            dead=Instant(NEVER - 1),
            token=Token(NEVER - 2),
            epoch=3,
            recent=(Recent(due_at=Instant(1), outcome="succeeded", worker="w"),),
            data={"nested": {"a": [1, 2.5, None, True, "\x00\u2028\\'\""]}},
            body=bytes(range(256)),
        )
        change = create(full)
        store.apply([change])
        [after] = stored(store, full.key)
        assert after == Record(**{**_fields(full), "version": 1, "write_id": change.write_id})

    def test_records_are_answered_in_the_order_of_the_keys(self, store: Store) -> None:
        put(store, *(sample(f"d:{n}", n) for n in range(5)))
        fetched = store.fetch([Key(k) for k in ("d:3", "d:gone", "d:0", "d:4", "d:3")])
        assert [r and r.key for r in fetched.records] == ["d:3", None, "d:0", "d:4", "d:3"]
        assert fetched.now <= store.now()

    def test_nothing_asked_nothing_fetched(self, store: Store) -> None:
        assert store.fetch([]).records == ()

    @pytest.mark.parametrize("size", [0, 1, 262_144])
    def test_a_body_is_kept_byte_by_byte(self, store: Store, size: int) -> None:
        body = (bytes(range(256)) * (size // 256 + 1))[:size]
        put(store, sample("e:a", NEVER, lane=Lane.DELAYED, body=body))
        assert stored(store, Key("e:a"))[0].body == body

    def test_large_arguments_are_kept(self, store: Store) -> None:
        kwargs = {"text": "ä{}%'\\" * 40_000}
        put(store, sample("d:a", NEVER, kwargs=kwargs))
        assert stored(store, Key("d:a"))[0].spec.kwargs == kwargs

    @pytest.mark.parametrize(("query", "wanted"), FILTERS, ids=[str(q) for q, _ in FILTERS])
    def test_a_scan_answers_what_the_query_asks_for(
        self, store: Store, query: dict[str, Any], wanted: Callable[[Record], bool]
    ) -> None:
        put(store, *ALL)
        assert everything(store, Query(**query)) == sorted(keys(filter(wanted, ALL)))

    def test_filters_follow_a_change(self, store: Store) -> None:
        [before] = put(store, sample("d:a", 1, name="old", task="old", paused=PAUSED))
        after = sample(
            "d:a", 1, name="new", task="new", generation="g2", run=RUNNING, lease=Lease(owner="w", until=NEVER)
        )
        store.apply([replace_with(before, after)])
        for gone in (
            Query(name_prefix="old"),
            Query(task="old"),
            Query(paused=True),
            Query(running=False, prefix="d:"),
        ):
            assert everything(store, gone) == []
        assert everything(store, Query(name_prefix="new", task="new", paused=False, running=True)) == ["d:a"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 100])
    def test_pages_of_any_size_make_up_the_whole(self, store: Store, limit: int) -> None:
        names = [f"d:{n}" for n in range(7)]
        put(store, *(sample(name, 1) for name in reversed(names)), sample("e:out", 1))
        found = pages(store, Query(prefix="d:", limit=limit))
        assert [key for page in found for key in page] == names

    def test_what_stays_put_is_answered_once_whatever_comes_and_goes(self, store: Store) -> None:
        made = put(store, *(sample(f"d:{n:02}", 1) for n in range(0, 40, 2)))
        seen: list[str] = []
        cursor, turn = None, 0
        while True:
            page = store.scan(Query(prefix="d:", limit=3), cursor)
            seen += keys(page.records)
            cursor = page.cursor
            if cursor is None:
                break
            store.apply([replace_with(made[turn], None), create(sample(f"d:{turn * 6 + 1:02}", 1))])
            turn += 1
        stayed = {r.key for r in made[turn:]}
        assert turn > 3
        assert len(seen) == len(set(seen))
        assert stayed <= set(seen)

    def test_a_scan_tells_of_corrupt_records_and_goes_on(self, store: Store) -> None:
        put(store, *(sample(f"d:{n}", 1) for n in "abc"))
        self.spoil(store, Key("d:b"))
        page = store.scan(Query(prefix="d:"))
        assert keys(page.records) == ["d:a", "d:c"]
        assert [error.key for error in page.corrupt] == ["d:b"]

    def test_a_scan_sees_its_own_namespace_only(self, store: Store, namespace: str) -> None:
        other = self.make_store(namespace + "x")
        put(store, sample("d:a"))
        other.prepare(Founding())
        assert everything(other, Query()) == []
        other.close()


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Record.__slots__}

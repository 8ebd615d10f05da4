"""What watches a beat, put together; and the census of parked messages."""

from __future__ import annotations

import builtins
import sys
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from celery import Celery

from celery_pyncette.core.errors import ConfigurationError, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record, Write
from celery_pyncette.observe import census, lookout
from celery_pyncette.observe.census import DEAD, PARKED, Census
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Founding, Page, Query
from celery_pyncette.stores.writes import change_of
from celery_pyncette.testing.clock import FakeClock
from tests.support.wait import wait_until


def runtime(**conf: Any) -> Runtime:
    app = Celery("watched", broker="memory://", set_as_current=False)
    app.conf.update(pyncette_store_url="memory://watched", **conf)
    return Runtime(app)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("pyncette-")}


def test_without_an_address_only_the_watchdog_looks():
    before = threads()
    watch = runtime().lookout()
    watch.start()
    watch.start()
    assert threads() - before == {"pyncette-watchdog"}
    watch.stop()
    watch.stop()
    wait_until(lambda: threads() <= before, 5)


def test_what_has_stopped_does_not_start_again():
    before = threads()
    watch = runtime(pyncette_http_address="127.0.0.1:0").lookout()
    watch.stop()
    watch.start()
    assert threads() <= before


def test_a_ping_that_is_no_url_stops_the_start():
    policies = {"e": {"ping": {"start": "ftp://x/"}}}
    with pytest.raises(ConfigurationError, match=r"pyncette_policies\['e'\]: ping must be a URL"):
        runtime(pyncette_policies=policies).lookout()


def test_without_prometheus_client_the_other_pages_are_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    for module in ("metrics", "meters"):
        monkeypatch.delitem(sys.modules, f"celery_pyncette.observe.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    watch = runtime(pyncette_http_address="127.0.0.1:0").lookout()
    assert "metrics_unavailable" in caplog.text
    pages = watch.pages()
    assert pages["/metrics"]({}).status == 501
    assert b"celery-pyncette[metrics]" in pages["/metrics"]({}).body
    assert pages["/live"]({}).status == 200


def test_static_tasks_are_expected_from_the_start():
    watch = runtime(pyncette_http_address="127.0.0.1:0").lookout(["proj.report"])
    page = watch.pages()["/metrics"]({}).body.decode()
    assert 'pyncette_missed_total{task_name="proj.report"} 0.0' in page
    assert "pyncette_store_up 0.0" in page
    assert "pyncette_parked_messages" not in page


def store_with(messages: int) -> MemoryStore:
    store = MemoryStore("ns", clock=FakeClock())
    store.prepare(Founding(store_id="s"))
    spec = EntrySpec(name="", task="t", origin=Origin.DELAYED)
    for number in range(messages):
        key = Key(f"e:{number}")
        record = Record(key=key, lane=Lane.DELAYED, generation="g", spec=spec, due_at=Instant(1))
        store.apply([change_of(key, None, Write(record=record))])
    return store


def counted(store: MemoryStore, queries: Sequence[Query] = PARKED) -> int | None:
    told: list[int | None] = []
    Census(lambda: store, told.append, queries, FakeClock()).count()
    [count] = told
    return count


def test_parked_messages_are_counted_page_by_page():
    assert counted(store_with(0)) == 0
    assert counted(store_with(1203)) == 1203


def test_dead_letters_of_each_kind_are_counted_and_nothing_else():
    store = store_with(3)
    for key in ("o:d:report@1", "d:once", "s:report", "e:given-up"):
        for name, dead in ((key, Instant(9)), (f"{key} alive", None)):
            spec = EntrySpec(name="", task="t", origin=Origin.DYNAMIC)
            record = Record(key=Key(name), lane=Lane.ENTRIES, generation="g", spec=spec, dead=dead)
            store.apply([change_of(record.key, None, Write(record=record))])
    assert counted(store, DEAD) == 4
    assert counted(store) == 4, "a given-up message waits no more"


def test_a_count_rests_longer_than_it_works():
    store, clock = store_with(1203), FakeClock()
    rests: list[float] = []

    class Slow(MemoryStore):
        def scan(self, query: Query, cursor: str | None = None) -> Page:
            clock.advance(0.5)
            return store.scan(query, cursor)

    opened = Slow("ns", clock=clock)
    opened.prepare(Founding(store_id="s"))
    slow = Census(lambda: opened, lambda count: None, PARKED, clock)

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout or 0)
            return False

    slow._stopped = Watched()
    slow.count()
    assert rests == [pytest.approx(9.5)] * 2


def test_the_count_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(census, "MOST", 600)
    assert counted(store_with(1203)) == 600


def test_a_store_that_is_away_is_not_counted():
    told: list[int | None] = []

    def away() -> MemoryStore:
        raise StoreUnavailable("away")

    Census(away, told.append, PARKED, FakeClock()).count()
    Census(lambda: store_with(3), told.append, PARKED, FakeClock()).count()
    assert told == [None, 3]


def test_with_the_delay_queue_the_page_has_the_count():
    before = threads()
    runtime_ = runtime(pyncette_http_address="127.0.0.1:0", pyncette_delay_queue=True)
    runtime_.open_store().prepare(Founding(store_id="s"))
    watch = runtime_.lookout()
    watch.start()
    for line in (b"pyncette_parked_messages 0.0", b"pyncette_dead_letters_kept 0.0"):
        wait_until(lambda line=line: line in watch.pages()["/metrics"]({}).body, 5)
    watch.stop()
    wait_until(lambda: threads() <= before, 5)
    assert lookout.new_metrics() is not None

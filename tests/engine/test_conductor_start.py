"""How a beat starts, and what it does when its store came back empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from celery_pyncette.core.errors import NamespaceInUse, SchemaMismatch, StoreRefused
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.post import Post
from celery_pyncette.events import Observers, Reconciled, StoreEmptied, Ticked
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import ClaimBatch, ClaimRequest, Founding, Meta
from tests.engine.desk import MINUTE, Desk, static
from tests.simulation.book import Book

REPORT = Key("s:report")
POST = Post(
    namespace="ns", store_name="memory", owner="beat-1", fingerprint="", store_id="store", about={}, last_runs=dict
)


@pytest.fixture
def desk() -> Desk:
    return Desk(Book([static("report")]))


def beat(desk: Desk, store_id: str = "mine", **more: Any) -> Conductor:
    """Another beat over the same store, which it would found under this id."""
    post = replace(POST, owner=f"of {store_id}", store_id=store_id, **more)
    return Conductor(post, desk.store, desk.book, desk.publisher, Observers([desk.events]), desk.clock)


def empty(desk: Desk) -> None:
    desk.store._space.__init__()  # type: ignore[misc]


def live(desk: Desk, conductor: Conductor, seconds: float) -> None:
    """Tick and sleep."""
    end = desk.now + seconds * 1000
    while desk.now < end:
        desk.clock.advance(max(conductor.tick(), 0.001))


def test_a_beat_says_what_it_defines_before_it_writes_it(desk: Desk) -> None:
    desk.store.applied.clear()
    beat(desk).tick()
    first = [key for keys in desk.store.applied for key in keys]
    assert first.index(desk.neighbours._manifest) < first.index("s:report")


def test_another_application_in_the_namespace_is_told_both_names_and_the_setting(desk: Desk) -> None:
    with pytest.raises(NamespaceInUse, match="'ns' in memory belongs to '', and this is 'shop@host'.*pyncette_namesp"):
        beat(desk, fingerprint="shop@host").tick()
    assert desk.all("s:") == []


def test_definitions_are_written_at_the_start_and_never_again_and_the_last_start_wins(desk: Desk) -> None:
    old = beat(desk, "old")
    old.tick()
    book = Book([static("report", payload="new")])
    newer = Conductor(
        replace(POST, owner="newer"), desk.store, book, desk.publisher, Observers([desk.events]), desk.clock
    )
    newer.tick()
    assert desk.record(REPORT).spec.args == ("new",)
    wrote = len(desk.events.of(Reconciled))
    live(desk, old, 301)
    assert desk.record(REPORT).spec.args == ("new",)
    assert len(desk.events.of(Reconciled)) == wrote
    assert desk.sent() == ["report"] * 5


class Founded:
    """A stock beat's last runs, and how often they were asked for."""

    def __init__(self, desk: Desk) -> None:
        self.asked = 0
        self.ran = Instant(desk.now - 10_000)

    def __call__(self) -> Mapping[str, Instant]:
        self.asked += 1
        return {"report": self.ran}


def test_only_the_beat_that_founds_the_namespace_is_seeded_and_once(desk: Desk) -> None:
    empty(desk)
    first, second = Founded(desk), Founded(desk)
    founder = beat(desk, "founder", last_runs=first)
    founder.tick()
    beat(desk, "second", last_runs=second).tick()
    assert (first.asked, second.asked) == (1, 0)
    assert desk.record(REPORT).due_at == first.ran + MINUTE
    empty(desk)
    desk.clock.advance(1.1)
    founder.tick()
    assert first.asked == 1, "it is no first sight: what the file says is old by now"
    assert desk.record(REPORT).due_at == desk.now + MINUTE


def test_a_store_that_comes_back_empty_is_told_and_filled_at_once_under_a_new_id(desk: Desk) -> None:
    conductor, other = beat(desk), beat(desk, "other")
    conductor.tick()
    other.tick()
    empty(desk)
    live(desk, conductor, 1.1)
    told = desk.events.of(StoreEmptied)
    assert len(told) == 1
    assert desk.record(REPORT).due_at <= desk.now + MINUTE
    meta = desk.store.prepare(None)
    assert conductor.meta == meta
    assert meta.store_id not in ("store", "mine", "other")
    live(desk, other, 21)
    assert other.meta == meta, "the other beat has taken note of the new store"
    assert len(desk.events.of(StoreEmptied)) == 1
    assert len(desk.all("p:")) == 2
    assert len(desk.all("m:manifest")) == 1


def test_a_beat_that_learns_that_another_has_founded_it_again_writes_what_it_defines(desk: Desk) -> None:
    conductor = beat(desk)
    conductor.tick()
    empty(desk)
    MemoryStore("ns", clock=desk.clock, space=desk.store._space).prepare(Founding(store_id="foreign"))
    conductor.look_again()
    conductor.tick()
    assert desk.record(REPORT) is not None
    assert conductor.meta is not None
    assert conductor.meta.store_id == "foreign"


@pytest.mark.parametrize("error", [SchemaMismatch("tables"), StoreRefused("password")], ids=lambda e: type(e).__name__)
def test_what_a_person_must_mend_ends_a_beat_at_its_start_and_later_it_goes_on_trying(
    desk: Desk, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(founding: Founding | None) -> Meta:
        raise error

    def refuse_too(request: ClaimRequest) -> ClaimBatch:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "prepare", refuse)
        with pytest.raises(type(error)):
            beat(desk).tick()
    conductor = beat(desk)
    conductor.tick()
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "claim", refuse_too)
        desk.clock.advance(1.1)
        conductor.tick()
        assert desk.events.of(Ticked)[-1].kind == type(error).__name__  # type: ignore[attr-defined]
    desk.clock.advance(60)
    conductor.tick()
    assert desk.sent() == ["report"]


def test_tables_that_were_dropped_are_made_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    conductor = beat(desk)
    conductor.tick()
    empty(desk)

    claim, prepare = desk.store.claim, desk.store.prepare

    def no_table(request: ClaimRequest) -> ClaimBatch:
        raise SchemaMismatch("no such table")

    def make(founding: Founding | None) -> Meta:
        if founding is not None:
            monkeypatch.setattr(desk.store, "claim", claim)
        return prepare(founding)

    monkeypatch.setattr(desk.store, "claim", no_table)
    monkeypatch.setattr(desk.store, "prepare", make)
    live(desk, conductor, 2.1)
    assert [record.key for record in desk.all("s:")] == [REPORT]

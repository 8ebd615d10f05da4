"""How a beat starts."""

from __future__ import annotations

from celery_pyncette.engine.conductor import Conductor, Post
from celery_pyncette.events import Observers
from tests.engine.desk import Desk, static
from tests.simulation.book import Book


def test_a_beat_says_what_it_defines_before_it_writes_it() -> None:
    desk = Desk(Book([static("report")]))
    post = Post(
        namespace="ns",
        store_name="memory",
        owner="beat-1",
        fingerprint="",
        store_id="store",
        about={},
        last_runs=dict,
    )
    desk.store.applied.clear()
    Conductor(post, desk.store, desk.book, desk.publisher, Observers([desk.events]), desk.clock).tick()
    first = [key for keys in desk.store.applied for key in keys]
    assert first.index(desk.neighbours._manifest) < first.index("s:report")

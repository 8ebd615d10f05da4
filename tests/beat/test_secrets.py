"""Nothing that a process says of itself shows a password: not in a repr, a banner, a fingerprint or an event."""

from __future__ import annotations

import pytest
from celery import Celery

from celery_pyncette import Pyncette, Scheduler, StoreUnavailable
from celery_pyncette.client.desk import desk_of
from celery_pyncette.events import Event, StoreLost
from celery_pyncette.runtime import Runtime, fingerprint
from celery_pyncette.stores import open_store

SECRET = "geheim"
STORES = [
    f"redis://user:{SECRET}@127.0.0.1:1/0",
    f"redis://127.0.0.1:1/0?password={SECRET}",
    f"postgresql://user:{SECRET}@127.0.0.1:1/db",
    f"mysql://user:{SECRET}@127.0.0.1:1/db",
]


def app_of(url: str) -> Celery:
    app = Celery("secrets", broker=f"redis://:{SECRET}@127.0.0.1:1/3", set_as_current=False)
    app.conf.update(pyncette_store_url=url, result_backend=f"redis://:{SECRET}@127.0.0.1:1/4")
    return app


@pytest.mark.parametrize("url", STORES)
def test_what_is_made_of_a_url_does_not_show_its_password(url: str):
    app = app_of(url)
    runtime = Runtime(app)
    scheduler = Scheduler(app, lazy=True)
    shown = [
        *(repr(open_store(url, "n", timeout=1.0)), repr(runtime), repr(runtime.settings), repr(runtime.open_store())),
        *(
            runtime.store_name,
            fingerprint(app),
            scheduler.info,
            repr(scheduler),
            repr(Pyncette(app)),
            repr(desk_of(app)),
        ),
    ]
    assert [text for text in shown if SECRET in text] == []
    assert "127.0.0.1" in runtime.store_name


@pytest.mark.parametrize("url", STORES)
def test_a_store_that_cannot_be_reached_is_named_without_it(url: str, caplog: pytest.LogCaptureFixture):
    seen: list[Event] = []
    runtime = Runtime(app_of(url))
    runtime.observers.add(type("Sees", (), {"see": lambda self, event: seen.append(event)})())
    with caplog.at_level("DEBUG"), pytest.raises(StoreUnavailable) as raised:
        runtime.open_store(0.2, attempts=1).now()
    assert SECRET not in str(raised.value)
    assert SECRET not in caplog.text
    assert any(isinstance(event, StoreLost) for event in seen)
    assert SECRET not in repr(seen)

"""One change among many entries: what the client and a beat ask the store is the same, however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
import redis
import sqlalchemy
from celery import Celery

from celery_pyncette import schedule_task, schedule_tasks
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.records import Record
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.protocol import Query
from celery_pyncette.testing.publisher import RecordingPublisher
from tests.client.setting import app_of

FEW, MANY = 20, 600
Asked = Counter[str]


class Place:
    """An app of ``count`` entries that are due tomorrow, and a beat that has looked at them."""

    def __init__(self, url: str, count: int) -> None:
        self.app: Celery = app_of(pyncette_store_url=url, pyncette_namespace=f"with-{count}", timezone="UTC")
        self.publisher = RecordingPublisher()
        settings = Runtime(self.app).settings
        nothing = StaticDefinitions(self.app, settings, {})
        self.beat: Conductor = Runtime(self.app).conductor(nothing, self.publisher, dict)
        self.beat.tick()
        specs = ({"task": "t", "name": f"n-{number}", "interval": 86_400} for number in range(count))
        assert schedule_tasks(specs, app=self.app).created == count
        self.tick()

    def tick(self) -> None:
        self.beat.wake()
        self.beat.tick()

    def change(self) -> None:
        """One entry is changed to be due now, sent, and gone."""
        schedule_task("other", "n-7", execute_at=datetime.now(timezone.utc), app=self.app)
        self.tick()
        assert [(message.spec.name, message.spec.task) for message in self.publisher.arrived] == [("n-7", "other")]
        self.publisher.clear()

    def entries(self) -> dict[str, Record]:
        found, cursor = {}, None
        while True:
            page = desk_of(self.app).store.scan(Query(prefix="d:", limit=500), cursor)
            found |= {record.spec.name: record for record in page.records}
            cursor = page.cursor
            if cursor is None:
                return found


def both(url: str, asked: Callable[[Callable[[], object]], Asked]) -> tuple[Asked, Asked]:
    """What one change asks for, among few and among many; no other entry is another one afterwards."""
    counted = []
    for count in (FEW, MANY):
        place = Place(url, count)
        before = place.entries()
        counted.append(asked(place.change))
        after = place.entries()
        assert {name for name in before if before[name] != after.get(name)} == {"n-7"}
        desk_of(place.app).close()
        place.beat._store.close()
    return counted[0], counted[1]


def test_redis_is_asked_for_no_other_entry(own_redis):
    """Commands inside of scripts are counted too."""

    def asked(change: Callable[[], object]) -> Asked:
        before = _commands(own_redis.url)
        change()
        return _commands(own_redis.url) - before

    few, many = both(own_redis.url, asked)
    assert few == many
    assert few["hmget"] + few["hgetall"] > 0
    assert sum(few.values()) < 60, few


def _commands(url: str) -> Asked:
    with redis.Redis.from_url(url) as client:
        stats = client.info("commandstats")
    about = ("info", "client", "hello", "ping", "select")
    names = {name: name.removeprefix("cmdstat_").partition("|")[0] for name in stats}
    return Counter({names[name]: stat["calls"] for name, stat in stats.items() if names[name] not in about})


@pytest.mark.parametrize("kind", [pytest.param(n, marks=pytest.mark.store(n)) for n in ("postgresql", "sqlite")])
def test_a_database_is_asked_for_no_other_entry(kind: str, request):
    """Statements, and the rows that each of them reads or writes."""
    rows: Asked = Counter()

    def note(connection, cursor, statement: str, *_: object) -> None:
        rows[statement.split(maxsplit=1)[0]] += 1
        rows["rows"] += max(0, cursor.rowcount)

    def asked(change: Callable[[], object]) -> Asked:
        rows.clear()
        sqlalchemy.event.listen(sqlalchemy.Engine, "after_cursor_execute", note)
        try:
            change()
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "after_cursor_execute", note)
        return rows.copy()

    few, many = both(str(request.getfixturevalue(f"{kind}_url")), asked)
    assert few == many
    assert few["UPDATE"] + few["WITH"] > 0, few
    assert few["rows"] < 20, few

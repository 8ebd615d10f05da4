"""Stores that can end the sleep of beats: who hears what, and what becomes of it when the server goes away."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis
import sqlalchemy

from celery_pyncette.clock import SystemClock
from celery_pyncette.core.errors import StoreRefused, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
from celery_pyncette.engine import sleeper
from celery_pyncette.engine.sleeper import Sleeper
from celery_pyncette.stores import open_store
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Founding, Listener, Store, WakeUps, wake_ups_of
from celery_pyncette.stores.rousing import Rousing
from celery_pyncette.stores.sql.address import sql_url
from celery_pyncette.stores.sql.notifying import notify
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.testing.contract.samples import create, replace_with, sample
from celery_pyncette.testing.contract.setting import stored
from tests.support.own_databases import OwnPostgres
from tests.support.own_redis import OwnRedis
from tests.support.wait import wait_until

ABLE = [pytest.param(name, marks=pytest.mark.store(name)) for name in ("postgresql", "redis", "redis-cluster")]


@pytest.fixture(params=ABLE)
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param.replace('-', '_')}_url"))


@pytest.fixture
def store(url: str, fresh_namespace: str) -> Iterator[Store]:
    store = open_store(url, fresh_namespace, timeout=5)
    store.prepare(Founding())
    yield store
    store.close()


@pytest.fixture
def wake_ups(store: Store) -> WakeUps:
    found = wake_ups_of(store)
    assert found is not None
    return found


@pytest.fixture
def ears(wake_ups: WakeUps) -> Iterator[tuple[Listener, Listener]]:
    with contextlib.closing(wake_ups.listen()) as one, contextlib.closing(wake_ups.listen()) as other:
        yield one, other


def test_every_listener_hears_a_call_once(wake_ups: WakeUps, ears: tuple[Listener, Listener]):
    wake_ups.wake()
    assert [ear.wait(5) for ear in ears] == [True, True]
    assert [ear.wait(0.05) for ear in ears] == [False, False]


def test_a_call_between_two_waits_is_heard_and_one_before_the_first_is_not(wake_ups: WakeUps):
    wake_ups.wake()
    with contextlib.closing(wake_ups.listen()) as ear:
        assert not ear.wait(0.05)
        for _ in range(3):
            wake_ups.wake()
        heard = [ear.wait(5), *(ear.wait(0.05) for _ in range(3))]
        assert heard[0]
        assert not heard[-1]


def test_a_wait_ends_at_the_call(wake_ups: WakeUps, ears: tuple[Listener, Listener]):
    timer = threading.Timer(0.2, wake_ups.wake)
    timer.start()
    assert ears[0].wait(30)
    timer.join()


def test_another_namespace_is_not_woken(url: str, store: Store, ears: tuple[Listener, Listener]):
    other = open_store(url, "somebody-else", timeout=5)
    other.prepare(Founding())
    theirs = wake_ups_of(other)
    assert theirs is not None
    theirs.wake()
    assert not ears[0].wait(0.1)
    other.close()


@pytest.mark.store("redis")
def test_on_redis_nothing_piles_up_when_nobody_listens(redis_url: str):
    store = open_store(redis_url, "alone", timeout=5)
    for _ in range(5):
        store.wake_ups.wake()  # type: ignore[attr-defined]
    with redis.Redis.from_url(redis_url) as admin:
        assert admin.xlen("pyncette:{alone:0}/wake") == 1
    store.close()


@pytest.mark.store("postgresql")
def test_a_notification_belongs_to_the_transaction(postgresql_url: str):
    store = open_store(postgresql_url, "shop", timeout=5)
    engine = sqlalchemy.create_engine(sql_url(postgresql_url))
    with contextlib.closing(store.wake_ups.listen()) as ear:  # type: ignore[attr-defined]
        with engine.connect() as connection:
            notify(connection, "shop")
            assert not ear.wait(0.1)
            connection.rollback()
            assert not ear.wait(0.1)
            notify(connection, "shop")
            connection.commit()
        assert ear.wait(5)
    engine.dispose()
    store.close()


@pytest.mark.store("postgresql")
def test_a_connection_that_somebody_else_answers_for_is_refused(postgresql_url: str, monkeypatch: pytest.MonkeyPatch):
    """A pooler makes up the process id that it tells its clients."""
    import psycopg

    store = open_store(postgresql_url, "shop", timeout=5)
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)
    with pytest.raises(StoreRefused, match="a pooler stands between"):
        store.wake_ups.listen()  # type: ignore[attr-defined]
    store.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_others_have_no_such_ability(kind: str, request: pytest.FixtureRequest):
    store = open_store(request.getfixturevalue(f"{kind}_url"), "shop", timeout=5)
    assert wake_ups_of(store) is None
    store.close()


# --- the sleeper ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["own_redis", pytest.param("own_postgres", marks=pytest.mark.full_matrix)])
def own(request: pytest.FixtureRequest) -> OwnRedis | OwnPostgres:
    server = request.getfixturevalue(request.param)
    assert isinstance(server, (OwnRedis, OwnPostgres))
    return server


@pytest.mark.faults
def test_a_sleeper_hears_again_after_its_server_was_restarted(
    own: OwnRedis | OwnPostgres, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sleeper, "RECONNECT_AFTER", 0.1)
    store = open_store(own.url, "shop", timeout=2)
    wake_ups = wake_ups_of(store)
    assert wake_ups is not None
    asleep = Sleeper(wake_ups, SystemClock())
    asleep.start()
    assert asleep.sleep(10), "what was called before it listened nobody heard, so it looks once"
    wake_ups.wake()
    assert asleep.sleep(10)
    own.kill()
    with pytest.raises(StoreUnavailable):
        wake_ups.wake()
    assert not asleep.sleep(0.3)
    own.start()
    assert asleep.sleep(20), "it is back, and something may have been called meanwhile"
    wait_until(lambda: _woken(wake_ups, asleep), 10, "it hears again")
    asleep.stop()
    store.close()


def _woken(wake_ups: WakeUps, asleep: Sleeper) -> bool:
    wake_ups.wake()
    return asleep.sleep(1)


class Refusing:
    """Will not work at all."""

    def __init__(self) -> None:
        self.asked = 0

    def wake(self) -> None:
        raise StoreRefused("not here")

    def listen(self) -> Listener:
        self.asked += 1
        raise StoreRefused("not here")


def test_a_refusal_is_told_once_and_the_beat_sleeps_as_without(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sleeper, "ASK_AGAIN_AFTER", 0.01)
    refusing = Refusing()
    asleep = Sleeper(refusing, SystemClock())
    asleep.start()
    wait_until(lambda: refusing.asked >= 3, 5, "it asks again")
    assert not asleep.sleep(0.05)
    asleep.stop()
    assert caplog.text.count("wake_ups_off: not here") == 1


# --- who calls ------------------------------------------------------------------------------------------------------


class Counting:
    """Counts, and fails if told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: StoreUnavailable | None = None

    def wake(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


def test_only_what_is_due_before_the_next_poll_wakes(caplog: pytest.LogCaptureFixture):
    clock, counting = FakeClock(), Counting()
    inner = MemoryStore(clock=clock)
    inner.prepare(Founding())
    store = Rousing(inner, counting, 1_000)
    later = replace(sample("d:later"), due_at=Instant(clock.now() + 1_000))
    soon = replace(sample("d:soon"), due_at=Instant(clock.now() + 999))
    store.apply([create(later)])
    assert counting.calls == 0
    store.apply([create(later)])
    assert counting.calls == 0, "what is not written wakes nobody"
    store.apply([create(soon)])
    assert counting.calls == 1
    store.apply([replace_with(stored(inner, Key("d:soon"))[0], None)])
    assert counting.calls == 1, "nor does a deletion"
    counting.error = StoreUnavailable("away")
    for name in ("d:one", "d:two"):
        store.apply([create(replace(soon, key=Key(name)))])
    assert caplog.text.count("wake_up_failed: away") == 1, "it is told once, and the write is done"
    assert len(stored(inner, Key("d:two"))) == 1

"""A project with a store and a broker of its own: a Redis server that only these tests use."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis
from tests.support.process import Processes
from tests.worker.support import Workshop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"workshop", "shaky", "quiet_redis"} & set(getattr(item, "fixturenames", ())):
            for mark in (pytest.mark.broker("redis"), pytest.mark.store("redis"), pytest.mark.needs("own-redis")):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def quiet_redis() -> Iterator[OwnRedis]:
    with OwnRedis() as server:
        yield server


@pytest.fixture
def quiet_broker(quiet_redis: OwnRedis) -> Iterator[Broker]:
    """An empty Redis."""
    yield Broker("redis", quiet_redis.url, f"q-{secrets.token_hex(5)}")
    empty(quiet_redis)


def empty(server: OwnRedis) -> None:
    import redis

    with redis.Redis.from_url(server.url, socket_timeout=5) as client:
        client.flushall()


@pytest.fixture
def workshop(tmp_path: Path, processes: Processes, quiet_broker: Broker) -> Iterator[Workshop]:
    """Store and broker in one Redis database."""
    yield Workshop(tmp_path, processes, quiet_broker, quiet_broker.url)
    processes.end()

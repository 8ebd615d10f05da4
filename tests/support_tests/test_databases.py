"""Each test has a database of its own on a shared server, and nobody's data is touched."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
import redis

from tests.servers.catalogue import connect_mariadb
from tests.support import databases
from tests.support.brokers import Broker
from tests.support.own_redis import OwnRedis


def test_a_postgresql_database_is_new_and_its_own(postgresql_url: str):
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (n int)")
        name = connection.execute("SELECT current_database()").fetchone()
    assert name is not None
    assert postgresql_url.endswith(name[0])
    assert name[0].startswith("pyncette_test_")


def test_a_postgresql_database_goes_although_somebody_is_connected(postgresql_url: str):
    with databases.postgresql_database(postgresql_url) as inner:
        connection = psycopg.connect(inner)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(inner)


def test_a_mariadb_database_goes_after_use(mariadb_url: str):
    with databases.mariadb_database(mariadb_url) as inner:
        name = inner.rsplit("/", 1)[1]
        assert name in _mariadb_databases(mariadb_url)
    assert name not in _mariadb_databases(mariadb_url)


def _mariadb_databases(url: str) -> set[str]:
    with contextlib.closing(connect_mariadb(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        return {row[0] for row in cursor.fetchall()}


def test_two_redis_databases_at_once_are_two(redis_url: str):
    with databases.redis_database(redis_url) as other:
        assert other != redis_url


def test_a_redis_database_is_flushed_after_use(own_redis: OwnRedis):
    with databases.redis_database(own_redis.url) as url, redis.Redis.from_url(url) as client:
        client.set("a", 1)
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0


def test_a_redis_database_with_foreign_data_is_left_alone(own_redis: OwnRedis):
    with redis.Redis(port=own_redis.port, db=15) as client:
        client.set("precious", 1)
        with databases.redis_database(own_redis.url) as url:
            assert not url.endswith("/15")
        assert client.get("precious") == b"1"


def test_no_redis_database_left_is_an_error(own_redis: OwnRedis):
    for number in range(1, 16):
        with redis.Redis(port=own_redis.port, db=number) as client:
            client.set("precious", 1)
    with pytest.raises(RuntimeError, match="1-15"), databases.redis_database(own_redis.url):
        pytest.fail("a database with data was given away")


def test_a_message_put_into_a_broker_waits_there(broker: Broker):
    from kombu import Connection

    with Connection(broker.url, transport_options=broker.transport_options) as connection:
        queue = connection.SimpleQueue(broker.queue)
        queue.put({"n": 1})
        queue.close()
    assert broker.waiting() == 1


def test_a_store_of_each_kind_has_a_url(store_url: str):
    assert "://" in store_url

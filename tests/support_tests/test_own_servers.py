"""Own servers keep what was written through a crash, and leave nothing behind."""

from __future__ import annotations

import contextlib

import psycopg
import pytest
import redis

from tests.servers.catalogue import connect_mariadb, probe_rabbitmq, probe_redis
from tests.support import own_server
from tests.support.own_databases import OwnMariadb, OwnPostgres
from tests.support.own_rabbit import OwnRabbit
from tests.support.own_redis import OwnRedis, OwnRedisCluster


def client_of(server: OwnRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=5)


def test_a_redis_without_persistence_forgets(own_redis: OwnRedis):
    with client_of(own_redis) as client:
        client.set("a", 1)
    own_redis.restart(crash=True)
    with client_of(own_redis) as client:
        assert client.get("a") is None


def test_a_persistent_redis_remembers_through_a_crash(own_persistent_redis: OwnRedis):
    with client_of(own_persistent_redis) as client:
        client.set("a", 1)
    own_persistent_redis.restart(crash=True)
    with client_of(own_persistent_redis) as client:
        assert client.get("a") == b"1"


def test_a_paused_redis_does_not_answer_until_it_is_resumed(own_redis: OwnRedis):
    own_redis.pause()
    with pytest.raises(redis.TimeoutError):
        probe_redis(own_redis.url)
    own_redis.resume()
    probe_redis(own_redis.url)


@pytest.mark.needs("own-redis")
def test_a_closed_server_leaves_no_data_and_no_process():
    with OwnRedis() as server:
        assert server.directory.exists()
    assert not server.directory.exists()
    assert not server.running


@pytest.mark.needs("own-redis")
def test_a_server_that_cannot_start_says_why():
    server = OwnRedis(args=("--no-such-option", "1"))
    with pytest.raises(AssertionError, match="no-such-option"), server:
        pytest.fail("it started")
    assert not server.directory.exists()


@pytest.mark.needs("own-redis")
def test_a_server_does_not_take_another_for_itself(own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(own_server, "PORT_PATIENCE", 0.1)
    second = OwnRedis(port=own_redis.port)
    with contextlib.closing(second), pytest.raises(AssertionError, match="no longer in use"):
        second.start()


def test_postgresql_remembers_through_a_crash(own_postgres: OwnPostgres):
    with psycopg.connect(own_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    own_postgres.restart(crash=True)
    with psycopg.connect(own_postgres.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_mariadb_remembers_through_a_crash(own_mariadb: OwnMariadb):
    connection = connect_mariadb(own_mariadb.url)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE test.kept (n int)")
        cursor.execute("INSERT INTO test.kept VALUES (7)")
    connection.close()
    own_mariadb.restart(crash=True)
    connection = connect_mariadb(own_mariadb.url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM test.kept")
        assert cursor.fetchall() == ((7,),)
    connection.close()


@pytest.mark.full_matrix
def test_rabbitmq_comes_back_after_a_crash(own_rabbit: OwnRabbit):
    probe_rabbitmq(own_rabbit.url)
    own_rabbit.restart(crash=True)
    probe_rabbitmq(own_rabbit.url)


def test_a_cluster_serves_keys_on_all_its_nodes(redis_cluster: OwnRedisCluster, redis_cluster_url: str):
    with redis.RedisCluster(host="127.0.0.1", port=redis_cluster.nodes[0].port) as client:
        for number in range(30):
            client.set(f"key-{number}", number)
        sizes = [client.dbsize(target_nodes=node) for node in client.get_primaries()]
    assert sum(sizes) == 30
    assert all(sizes)
    redis_cluster.clean()
    with redis.RedisCluster(host="127.0.0.1", port=redis_cluster.nodes[0].port) as client:
        assert client.get("key-1") is None

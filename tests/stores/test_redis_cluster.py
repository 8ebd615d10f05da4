"""The Redis store on a Cluster: slots that move, nodes that go, and what is said where the URL is the wrong one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from redis.crc import key_slot

from celery_pyncette.core.errors import StoreRefused, StoreUnavailable
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.protocol import Founding, Query
from celery_pyncette.stores.redis.keys import PartitionKeys
from celery_pyncette.stores.redis.store import RedisStore
from celery_pyncette.testing.contract.samples import sample
from celery_pyncette.testing.contract.setting import claim, keys, put, stored
from tests.support.own_redis import OwnRedis, OwnRedisCluster

NAMES = [f"d:{n:03}" for n in range(60)]


@pytest.fixture
def store(redis_cluster_url: str) -> Iterator[RedisStore]:
    made = RedisStore(redis_cluster_url, "moves", timeout=3)
    made.prepare(Founding())
    yield made
    made.close()


class Nodes:
    """The nodes of a Cluster, asked one by one."""

    def __init__(self, cluster: OwnRedisCluster) -> None:
        self.clients = [redis.Redis(port=node.port, decode_responses=True) for node in cluster.nodes]
        self.ids = [client.execute_command("CLUSTER", "MYID") for client in self.clients]

    def owner(self, slot: int) -> int:
        for place, client in enumerate(self.clients):
            [line] = [line for line in client.execute_command("CLUSTER NODES").values() if "myself" in line["flags"]]
            if any(int(part[0]) <= slot <= int(part[-1]) for part in line["slots"]):
                return place
        raise AssertionError(f"nobody has slot {slot}")

    def begin(self, slot: int, source: int, target: int) -> None:
        self.clients[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        self.clients[source].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])

    def carry(self, slot: int, source: int, target: int) -> int:
        names = self.clients[source].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        port = self.clients[target].connection_pool.connection_kwargs["port"]
        if names:
            self.clients[source].execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *names)
        return len(names)

    def end(self, slot: int, source: int, target: int) -> None:
        for place in (target, source, *set(range(3)) - {source, target}):
            self.clients[place].execute_command("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])

    def close(self) -> None:
        for client in self.clients:
            client.close()


@pytest.fixture
def nodes(redis_cluster: OwnRedisCluster) -> Iterator[Nodes]:
    made = Nodes(redis_cluster)
    yield made
    made.close()


def test_partitions_are_spread_over_the_nodes(store: RedisStore, nodes: Nodes) -> None:
    put(store, *(sample(name) for name in NAMES))
    assert store.partitions == 16
    assert all(client.dbsize() > 0 for client in nodes.clients)
    assert keys(store.scan(Query(prefix="d:", limit=100)).records) == NAMES
    assert sorted(keys(claim(store, 0).records)) == NAMES


@pytest.mark.parametrize("namespace", ["a{b}c", "{", "}", "{}", "%7B", "{a}{b}", "ä", ""])
def test_all_keys_of_a_partition_are_in_one_slot_whatever_the_namespace(namespace: str) -> None:
    of = PartitionKeys(namespace, 3)
    names = [of.index, *of.ready.values(), of.record("d:x"), of.record("e:{y}"), of.record("o:d:}{@1@g")]
    assert len({key_slot(name.encode()) for name in names}) == 1
    assert len(set(names)) == len(names)


def test_namespaces_that_differ_in_escapes_share_no_key() -> None:
    prefixes = {PartitionKeys(namespace, 0).prefix for namespace in ("{", "%7B", "%257B", "}", "a:0}", "a")}
    assert len(prefixes) == 6


def test_a_slot_that_moves_is_followed(store: RedisStore, nodes: Nodes) -> None:
    before = put(store, *(sample(name) for name in NAMES))
    slot = key_slot(PartitionKeys("moves", 5).index.encode())
    source = nodes.owner(slot)
    target = (source + 1) % 3
    nodes.begin(slot, source, target)
    assert stored(store, *(r.key for r in before)) == before  # still where it was
    assert nodes.carry(slot, source, target) > 1
    assert stored(store, *(r.key for r in before)) == before  # ASK: carried over, not yet announced
    nodes.end(slot, source, target)
    assert sorted(keys(claim(store, 0).records)) == NAMES  # MOVED
    nodes.begin(slot, target, source)
    nodes.carry(slot, target, source)
    nodes.end(slot, target, source)
    assert {r.version for r in stored(store, *(r.key for r in before))} == {2}


@pytest.mark.faults
@pytest.mark.needs("redis-cluster")
def test_a_node_that_restarts_is_waited_for() -> None:
    persistent = OwnRedisCluster()
    for node in persistent.nodes:
        node.persistent = True
    with persistent as cluster:
        store = RedisStore(cluster.url, "restarts", timeout=2)
        store.prepare(Founding())
        put(store, *(sample(name) for name in NAMES))
        cluster.nodes[1].kill()
        with pytest.raises(StoreUnavailable):
            claim(store, 0)
        cluster.nodes[1].start()
        guarded = Guarded(store, name="cluster", budget=20)
        assert guarded.scan(Query(prefix="d:", limit=100)).now > 0
        assert keys(guarded.scan(Query(prefix="d:", limit=100)).records) == NAMES
        cluster.nodes[0].kill()  # the one that the URL names: the others are known by now
        cluster.nodes[0].start()
        assert keys(guarded.scan(Query(prefix="d:", limit=100)).records) == NAMES
        guarded.close()


def test_a_forked_child_finds_its_own_way(store: RedisStore) -> None:
    [record] = put(store, sample("d:a"))
    child = os.fork()
    if child == 0:
        found = stored(store, record.key) == [record]
        os._exit(0 if found else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert stored(store, record.key) == [record]


def test_a_node_of_a_cluster_as_if_it_were_alone_is_refused(redis_cluster: OwnRedisCluster, nodes: Nodes) -> None:
    elsewhere = next(n for n in map(str, range(99)) if nodes.owner(key_slot(PartitionKeys(n, 0).index.encode())) != 0)
    store = RedisStore(redis_cluster.url.replace("redis+cluster", "redis"), elsewhere, timeout=2)
    with pytest.raises(StoreRefused, match=r"use redis\+cluster://"):
        store.prepare(Founding())


def test_a_server_as_if_it_were_a_cluster_is_refused(own_redis: OwnRedis) -> None:
    with pytest.raises(StoreRefused, match="cluster support disabled"):
        RedisStore(own_redis.url.replace("redis", "redis+cluster"), "x", timeout=2).now()


def test_doctor_asks_every_master(store: RedisStore, nodes: Nodes) -> None:
    [persistence] = store.check_server()
    assert "persistence is off" in persistence
    nodes.clients[2].config_set("maxmemory-policy", "volatile-lru")
    try:
        assert any("volatile-lru" in warning for warning in store.check_server())
    finally:
        nodes.clients[2].config_set("maxmemory-policy", "noeviction")

"""The contract over Redis, alone and as a Cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from celery_pyncette.core.partitions import partition_of
from celery_pyncette.core.records import Key
from celery_pyncette.stores.protocol import Store
from celery_pyncette.stores.redis.keys import PartitionKeys
from celery_pyncette.stores.redis.store import RedisStore
from celery_pyncette.testing.contract import StoreContract


class OverRedis(StoreContract):
    """What both have in common; ``url`` and ``client`` are set by their fixtures."""

    url: str
    client: redis.Redis | redis.RedisCluster

    def make_store(self, namespace: str) -> Store:
        return RedisStore(self.url, namespace, timeout=5)

    def spoil(self, store: Store, key: Key) -> None:
        assert isinstance(store, RedisStore)
        partition = partition_of(key, store.prepare(None).partitions)
        hash_name = PartitionKeys(store.namespace, partition).record(key)
        assert self.client.hset(hash_name, "d", "{") == 0


class TestRedis(OverRedis):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> Iterator[None]:
        type(self).url = redis_url
        with redis.Redis.from_url(redis_url) as client:
            type(self).client = client
            yield


@pytest.mark.store("redis-cluster")
class TestRedisCluster(OverRedis):
    @pytest.fixture(autouse=True)
    def _server(self, redis_cluster_url: str) -> Iterator[None]:
        type(self).url = redis_cluster_url
        with redis.RedisCluster.from_url(redis_cluster_url.replace("redis+cluster", "redis")) as client:
            type(self).client = client
            yield

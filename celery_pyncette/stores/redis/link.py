"""The way to the server: sends commands in one go, each with the key that says where to.

Links are safe to share between threads, and reconnect in a forked child. ``close`` takes no lock and
waits for nobody, so it may be called in a signal handler: the driver's own way to close takes the
lock of its pool, which the code that the signal interrupted may hold.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

from redis import Redis
from redis.connection import ConnectionPool, SSLConnection
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from celery_pyncette.stores.redis.address import Address, Kind
from celery_pyncette.stores.redis.cluster import ClusterLink
from celery_pyncette.stores.redis.commands import Command, let_go, pipelined

#: The driver's own annotations are incomplete, and differ from release to release.
_Sentinel: Any = Sentinel
_SentinelPool: Any = SentinelConnectionPool


class Link(Protocol):
    """Sends commands; an error of one is its answer, a lost connection is raised."""

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers in order. One round trip, on a Cluster one per node."""

    def each_server(self, *command: Any) -> list[Any]:
        """The answers of every master to one command."""

    def close(self) -> None:
        """Let go of the connections; a later call connects again."""


def link_to(address: Address) -> Link:
    """The link for an address; connects at its first use."""
    return ClusterLink(address) if address.kind is Kind.CLUSTER else ServerLink(address)


class ServerLink:
    """One server, found directly or through Sentinel."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._made: tuple[int, Any] | None = None

    def send(self, commands: Sequence[Command]) -> list[Any]:
        return pipelined(self._client(), commands)

    def each_server(self, *command: Any) -> list[Any]:
        return self.send([Command("", command)])

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            let_go(made[1])

    def _client(self) -> Any:
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), Redis(connection_pool=self._pool()))
        return made[1]

    def _pool(self) -> ConnectionPool:
        address = self._address
        if address.kind is Kind.SERVER:
            return ConnectionPool(connection_class=address.connection, **address.options)
        options = {k: v for k, v in address.options.items() if k not in ("host", "port")}
        tls = issubclass(address.connection, SSLConnection)
        managed = SentinelManagedSSLConnection if tls else SentinelManagedConnection
        sentinel = _Sentinel(address.hosts, sentinel_kwargs=dict(address.sentinel_options))
        pool: ConnectionPool = _SentinelPool(address.master, sentinel, connection_class=managed, **options)
        return pool

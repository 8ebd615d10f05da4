"""The way to the server: sends commands in one go, each with the key that says where to.

Links are safe to share between threads, and reconnect in a forked child. ``close`` only lets go of
the connections, so it neither blocks nor takes a lock: it may be called in a signal handler. The
interpreter closes them as soon as nobody uses them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import ConnectionPool, SSLConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from celery_pyncette.stores.redis.address import Address, Kind

LOST = (exceptions.ConnectionError, exceptions.TimeoutError)
#: The driver's own annotations are incomplete, and differ from release to release.
_Sentinel: Any = Sentinel
_SentinelPool: Any = SentinelConnectionPool
_Node: Any = ClusterNode


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``route`` is a key of the slot that it belongs to."""

    route: str
    arguments: Sequence[Any]


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
        return _pipelined(self._client(), commands)

    def each_server(self, *command: Any) -> list[Any]:
        return self.send([Command("", command)])

    def close(self) -> None:
        self._made = None

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


class ClusterLink:
    """The masters of a Cluster. After a lost or moved node the next call asks for the map anew."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._made: tuple[int, Any] | None = None

    def send(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return self._send(commands)
        except LOST:
            self.close()
            raise

    def each_server(self, *command: Any) -> list[Any]:
        cluster = self._cluster()
        return [cluster.get_redis_connection(node).execute_command(*command) for node in cluster.get_primaries()]

    def close(self) -> None:
        self._made = None

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        answers = self._by_node(commands)
        moved = [i for i, answer in enumerate(answers) if type(answer) is exceptions.MovedError]
        if moved:
            self.close()
            for i, answer in zip(moved, self._by_node([commands[i] for i in moved]), strict=True):
                if type(answer) is exceptions.MovedError:
                    raise exceptions.ConnectionError("the Cluster is moving its slots")
                answers[i] = answer
        for i, answer in enumerate(answers):
            if isinstance(answer, exceptions.AskError):
                answers[i] = self._follow(answer, commands[i])
        return answers

    def _by_node(self, commands: Sequence[Command]) -> list[Any]:
        cluster = self._cluster()
        groups: dict[str, list[int]] = defaultdict(list)
        nodes: dict[str, Any] = {}
        for i, command in enumerate(commands):
            node = cluster.get_node_from_key(command.route)
            nodes[node.name] = node
            groups[node.name].append(i)
        answers: list[Any] = [None] * len(commands)
        for name, places in groups.items():
            client = cluster.get_redis_connection(nodes[name])
            for i, answer in zip(places, _pipelined(client, [commands[i] for i in places]), strict=True):
                answers[i] = answer
        return answers

    def _follow(self, error: exceptions.AskError, command: Command) -> Any:
        """A slot is being moved at this moment: ask the node that gets it."""
        cluster = self._cluster()
        node = cluster.get_node(host=error.host, port=error.port)
        if node is None:
            self.close()
            return error
        asking = [Command(command.route, ("ASKING",)), command]
        return _pipelined(cluster.get_redis_connection(node), asking)[1]

    def _cluster(self) -> Any:
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), self._connect())
        return made[1]

    def _connect(self) -> RedisCluster:
        options = {k: v for k, v in self._address.options.items() if k not in ("host", "port", "retry")}
        return RedisCluster(
            startup_nodes=[_Node(host, port) for host, port in self._address.hosts],
            retry=Retry(NoBackoff(), 0),
            ssl=issubclass(self._address.connection, SSLConnection),
            **options,
        )


def _pipelined(client: Any, commands: Sequence[Command]) -> list[Any]:
    if len(commands) == 1:
        try:
            return [client.execute_command(*commands[0].arguments)]
        except LOST:
            raise
        except exceptions.RedisError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command.arguments)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers

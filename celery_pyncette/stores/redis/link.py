"""The way to the server: sends commands in one go, each with the key that says where to.

Links are safe to share between threads, and reconnect in a forked child. ``close`` takes no lock and
waits for nobody, so it may be called in a signal handler: the driver's own way to close takes the
lock of its pool, which the code that the signal interrupted may hold.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from redis import Redis, exceptions
from redis.connection import ConnectionPool, SSLConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from celery_pyncette.stores.redis.address import Address, Kind

Host = tuple[str, int]
LOST = (exceptions.ConnectionError, exceptions.TimeoutError)
#: The driver's own annotations are incomplete, and differ from release to release.
_Sentinel: Any = Sentinel
_SentinelPool: Any = SentinelConnectionPool


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
        made, self._made = self._made, None
        if made is not None:
            _let_go(made[1])

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


@dataclass(frozen=True, slots=True)
class Map:
    """Which master has which slot, as one process saw it; ``clients`` grows as masters are asked."""

    pid: int
    last_slots: Sequence[int]
    masters: Sequence[Host]
    clients: dict[Host, Any]


class ClusterLink:
    """The masters of a Cluster. After a lost or moved node the next call asks any known node for the map anew.

    Nothing of the driver's own Cluster client is needed, whose retries and start-up cost could not be turned off.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._known: tuple[Host, ...] = address.hosts
        self._map: Map | None = None

    def send(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return self._send(commands)
        except LOST:
            self._map = None
            raise

    def each_server(self, *command: Any) -> list[Any]:
        masters = self._current().masters
        return [_pipelined(self._client(host), [Command("", command)])[0] for host in dict.fromkeys(masters)]

    def close(self) -> None:
        seen, self._map = self._map, None
        for client in list(seen.clients.values()) if seen is not None else ():
            _let_go(client)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        answers = self._by_master(commands)
        moved = [i for i, answer in enumerate(answers) if _redirected(answer, "MOVED")]
        if moved:
            self._map = None
            for i, answer in zip(moved, self._by_master([commands[i] for i in moved]), strict=True):
                if _redirected(answer, "MOVED"):
                    raise exceptions.ConnectionError("the Cluster is moving its slots")
                answers[i] = answer
        for i, answer in enumerate(answers):
            if host := _redirected(answer, "ASK"):  # its slot is moving now: the node that gets it has it already
                asking = [Command("", ("ASKING",)), commands[i]]
                answers[i] = _pipelined(self._client(host), asking)[1]
        return answers

    def _by_master(self, commands: Sequence[Command]) -> list[Any]:
        seen = self._current()
        groups: dict[Host, list[int]] = defaultdict(list)
        for i, command in enumerate(commands):
            groups[seen.masters[bisect_left(seen.last_slots, key_slot(command.route.encode()))]].append(i)
        answers: list[Any] = [None] * len(commands)
        for host, places in groups.items():
            for i, answer in zip(places, _pipelined(self._client(host), [commands[i] for i in places]), strict=True):
                answers[i] = answer
        return answers

    def _client(self, host: Host) -> Any:
        clients = self._current().clients
        if host not in clients:
            clients[host] = self._connected(host)
        return clients[host]

    def _connected(self, host: Host) -> Any:
        options = {**self._address.options, "host": host[0], "port": host[1]}
        return Redis(connection_pool=ConnectionPool(connection_class=self._address.connection, **options))

    def _current(self) -> Map:
        seen = self._map
        if seen is None or seen.pid != os.getpid():
            seen = self._map = self._discover()
        return seen

    def _discover(self) -> Map:
        lost: Exception = exceptions.ConnectionError("no node of the Cluster is known")
        for host in dict.fromkeys([*self._known, *self._address.hosts]):
            client = self._connected(host)
            try:
                answer = client.execute_command("CLUSTER", "SLOTS")
            except LOST as error:
                lost = error
                continue
            ranges = sorted((last, first, owner) for first, last, owner, *_ in answer)
            # An empty name stands for the node that was asked.
            masters = [((owner[0] or b"").decode() or host[0], owner[1]) for _, _, owner in ranges]
            if sum(last - first + 1 for last, first, _ in ranges) < SLOTS:
                raise exceptions.ClusterDownError("not all slots are served")
            self._known = tuple(dict.fromkeys(masters))
            return Map(os.getpid(), [last for last, _, _ in ranges], masters, {host: client})
        raise lost


def _let_go(client: Any) -> None:
    """Close the idle connections, past the pool's lock; one in use is closed when its user drops it."""
    for connection in list(getattr(client.connection_pool, "_available_connections", ())):
        connection.disconnect()


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


def _redirected(answer: Any, how: str) -> Host | None:
    """Where a MOVED or ASK answer points to; only newer drivers have classes for them outside their Cluster client."""
    if isinstance(answer, exceptions.AskError):
        kind = "MOVED" if isinstance(answer, exceptions.MovedError) else "ASK"
        return (answer.host, answer.port) if kind == how else None
    words = str(answer).split() if isinstance(answer, exceptions.ResponseError) else []
    if len(words) != 3 or words[0] != how:
        return None
    host, _, port = words[2].rpartition(":")
    return host, int(port)

"""The way to a Cluster: which of its masters each command goes to."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis, exceptions
from redis.connection import ConnectionPool
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from celery_pyncette.stores.redis.address import Address
from celery_pyncette.stores.redis.commands import LOST, Command, let_go, pipelined

Host = tuple[str, int]


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
        return [pipelined(self._client(host), [Command("", command)])[0] for host in dict.fromkeys(masters)]

    def close(self) -> None:
        seen, self._map = self._map, None
        for client in list(seen.clients.values()) if seen is not None else ():
            let_go(client)

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
                answers[i] = pipelined(self._client(host), asking)[1]
        return answers

    def _by_master(self, commands: Sequence[Command]) -> list[Any]:
        seen = self._current()
        groups: dict[Host, list[int]] = defaultdict(list)
        for i, command in enumerate(commands):
            groups[seen.masters[bisect_left(seen.last_slots, key_slot(command.route.encode()))]].append(i)
        answers: list[Any] = [None] * len(commands)
        for host, places in groups.items():
            for i, answer in zip(places, pipelined(self._client(host), [commands[i] for i in places]), strict=True):
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

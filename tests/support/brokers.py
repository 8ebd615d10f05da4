"""Brokers for real beats and workers: each test has a queue, a folder or a database of its own."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.databases import redis_database


@dataclass(frozen=True)
class Broker:
    """Where messages go in one test; `settings` is what an app needs to use it."""

    kind: str
    url: str
    queue: str
    transport_options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "broker_url": self.url,
            "broker_transport_options": self.transport_options,
            "broker_connection_retry_on_startup": True,
            "task_default_queue": self.queue,
        }

    def through(self, url: str) -> Broker:
        """The same broker at another address (a proxy's)."""
        return Broker(self.kind, url, self.queue, self.transport_options)

    def waiting(self) -> int:
        """How many messages lie in the queue."""
        from kombu import Connection

        with (
            Connection(self.url, transport_options=self.transport_options) as connection,
            connection.SimpleQueue(self.queue) as queue,
        ):
            return int(queue.qsize())


def _queue() -> str:
    return f"q-{secrets.token_hex(5)}"


@contextlib.contextmanager
def filesystem_broker(directory: Path) -> Iterator[Broker]:
    """kombu's filesystem transport, in a directory."""
    folders = {name: directory / name for name in ("queue", "processed", "control")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    yield Broker(
        "filesystem",
        "filesystem://",
        _queue(),
        {
            "data_folder_in": str(folders["queue"]),
            "data_folder_out": str(folders["queue"]),
            "processed_folder": str(folders["processed"]),
            "control_folder": str(folders["control"]),
        },
    )


@contextlib.contextmanager
def redis_broker(server_url: str) -> Iterator[Broker]:
    """A Redis database of the test's own."""
    with redis_database(server_url) as url:
        yield Broker("redis", url, _queue())


@contextlib.contextmanager
def rabbitmq_broker(server_url: str) -> Iterator[Broker]:
    """A queue of the test's own; the queue and its exchange are deleted after the test."""
    from kombu import Connection

    broker = Broker("rabbitmq", server_url, _queue())
    try:
        yield broker
    finally:
        with Connection(server_url, connect_timeout=5) as connection, connection.channel() as channel:
            channel.queue_delete(broker.queue)
            channel.exchange_delete(broker.queue)

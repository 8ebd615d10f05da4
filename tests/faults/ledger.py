"""What reached the broker, against what was due: the one that counts is independent of all that is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kombu import Connection

from tests.support.brokers import Broker

Occurrence = tuple[str, int]
"""The name of an entry, and one of its due times in milliseconds."""


@dataclass(frozen=True)
class Message:
    """One message as a worker would have got it; ``at`` in milliseconds by this host's clock."""

    entry: str
    due_at: int
    task_id: str
    at: int

    @property
    def occurrence(self) -> Occurrence:
        return self.entry, self.due_at

    def gap(self, fault_at: float) -> float:
        """Seconds from due, or from the fault if it was due before, to received; negative if it came before both."""
        return self.at / 1000 - max(self.due_at / 1000, fault_at)


class Drain:
    """Takes every message out of the broker's queue, in a thread; a context manager."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self.messages: list[Message] = []
        self.error: BaseException | None = None

    def __enter__(self) -> Drain:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            options = self._broker.transport_options
            with Connection(self._broker.url, transport_options=options) as connection:
                queue = connection.SimpleQueue(self._broker.queue, no_ack=True)
                with queue:
                    while not self._ended.is_set():
                        self._take(queue)
        except Exception as error:
            self.error = error

    def _take(self, queue) -> None:
        try:
            message = queue.get(timeout=0.2)
        except queue.Empty:
            return
        headers = message.headers
        ticket = headers["pyncette"]
        seen = Message(headers["periodic_task_name"], ticket["due_at"], headers["id"], int(time.time() * 1000))
        self.messages.append(seen)

    def of(self, kind: str) -> list[Message]:
        """Those of the entries whose name begins so."""
        return [message for message in list(self.messages) if message.entry.startswith(kind)]


@dataclass(frozen=True)
class Anchored:
    """The due times of interval entries, from the moment each was first seen: plain arithmetic, nothing is asked."""

    anchors: Mapping[str, int]
    intervals: Mapping[str, int]

    def due(self, until: int, kind: str = "") -> set[Occurrence]:
        """All that is due up to a moment, both in milliseconds."""
        return {
            (name, due_at)
            for name, anchor in self.anchors.items()
            if name.startswith(kind)
            for due_at in range(anchor + self.intervals[name], until + 1, self.intervals[name])
        }


def doubled(messages: Iterable[Message]) -> set[Occurrence]:
    """Occurrences that went out under two task ids."""
    ids: dict[Occurrence, set[str]] = {}
    for message in messages:
        ids.setdefault(message.occurrence, set()).add(message.task_id)
    return {occurrence for occurrence, found in ids.items() if len(found) > 1}


def copies(messages: Iterable[Message]) -> list[Message]:
    """Every message beyond the first with the same task id."""
    seen: set[str] = set()
    again = []
    for message in messages:
        if message.task_id in seen:
            again.append(message)
        seen.add(message.task_id)
    return again


def gaps(messages: Iterable[Message], fault_at: float) -> dict[Occurrence, float]:
    """The gap before each occurrence first arrived, in seconds."""
    found: dict[Occurrence, float] = {}
    for message in messages:
        found.setdefault(message.occurrence, message.gap(fault_at))
    return found

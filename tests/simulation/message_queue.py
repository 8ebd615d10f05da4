"""A broker's queue: it delays messages, loses some, and delivers again what nobody has acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery_pyncette.core.records import Ticket
from tests.simulation.run_ledger import RunLedger
from tests.simulation.world import Actor, World

#: How long a message waits when the queue is long, in milliseconds: less and more than a lease, and than three.
QUEUES = (4_000, 12_000, 30_000)
#: After this the broker takes an unacknowledged message for lost, where it does so at all: shorter than some tasks.
VISIBLE_AGAIN = 4_000


@dataclass(slots=True)
class Message:
    """One message; ``expires`` is by the wall clock of whoever looks at it, in milliseconds."""

    headers: Mapping[str, Any]
    id: str
    ticket: Ticket
    at: int
    retries: int = 0
    expires: int | None = None


@dataclass(slots=True)
class Queue:
    """One queue and all its consumers. ``lag``: each message waits for at least so long, in milliseconds."""

    world: World
    ledger: RunLedger
    lag: int = 0
    waiting: list[Message] = field(default_factory=list)
    unacknowledged: dict[int, tuple[str, Message]] = field(default_factory=dict)
    consumers: list[Actor] = field(default_factory=list)
    _tags: int = 0

    def put(self, message: Message) -> None:
        """Take a message; the broker has confirmed it, and may lose it all the same."""
        world = self.world
        if world.chance(world.faults.message_lost):
            world.note("")
            return
        wait = self.lag + world.rng.randrange(20)
        if self.lag:
            world.excuse()
        if world.chance(world.faults.message_late):
            wait += world.rng.choice(QUEUES)
            world.note("")
        message.at = max(message.at, world.stage.now + wait)
        self._add(message)

    def _add(self, message: Message) -> None:
        self.waiting.append(message)
        for consumer in self.consumers:
            self.world.stage.wake(consumer, max(message.at, self.world.stage.now))

    def take(self, consumer: str) -> tuple[int, Message] | None:
        """The next message, and the tag to acknowledge it by."""
        message = min(self.waiting, key=_at, default=None)
        if message is None or message.at > self.world.stage.now:
            return None
        self.waiting.remove(message)
        self._tags += 1
        self.unacknowledged[self._tags] = (consumer, message)
        if self.world.chance(self.world.faults.redelivered):
            self.world.note("")
            again = Message(message.headers, message.id, message.ticket, 0, message.retries, message.expires)
            again.at = self.world.stage.now + VISIBLE_AGAIN
            self._add(again)
        return self._tags, message

    def acknowledge(self, tag: int) -> None:
        """It is done with."""
        self.unacknowledged.pop(tag, None)

    def requeue(self, tag: int) -> None:
        """Deliver it again."""
        held = self.unacknowledged.pop(tag, None)
        if held is not None:
            held[1].at = self.world.stage.now
            self._add(held[1])

    def gone(self, consumer: str) -> None:
        """A consumer has lost its connection: what it held is delivered again."""
        for tag, (holder, _) in list(self.unacknowledged.items()):
            if holder == consumer:
                self.requeue(tag)

    def next_at(self) -> int | None:
        """When something can be taken."""
        return min((message.at for message in self.waiting), default=None)


def _at(message: Message) -> int:
    return message.at

"""An app with a delay queue in this process, over a broker and a store in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_pyncette.beat.broker import Broker
from celery_pyncette.beat.celery_publisher import CeleryPublisher
from celery_pyncette.client.desk import desk_of
from celery_pyncette.clock import SystemClock
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Lane, Record, Ticket
from celery_pyncette.delay import interceptor
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.stores.protocol import Founding, Query
from tests.support.in_memory import AppInMemory


class Post(AppInMemory):
    """``app`` parks; :meth:`release` does what a beat does with everything that is parked, whatever its time."""

    def __init__(self, *, founded: bool = True, install: bool = True, main: str = "proj", **conf: Any) -> None:
        super().__init__({"pyncette_delay_queue": True, **conf}, main)
        if install:
            interceptor.install(self.app)
        self.app.task(self._add, name="proj.add", shared=False)
        if founded:
            store = desk_of(self.app).runtime.open_store()
            store.prepare(Founding(fingerprint="tests"))
            store.close()
            desk_of(self.app).runtime.observers.add(self.seen)

    @staticmethod
    def _add(x: int, y: int = 0) -> int:
        return x + y

    @property
    def add(self) -> Any:
        return self.app.tasks["proj.add"]

    def parked(self) -> list[Record]:
        return list(desk_of(self.app).store.scan(Query(prefix="e:", limit=1000)).records)

    def release(self, watch: Callable[[CeleryPublisher], object] = lambda publisher: None) -> list[Any]:
        """Send all that is parked; the receipts. Records stay where they are."""
        return self._send([outgoing(record) for record in self.parked()], watch)

    def release_all(self, messages: list[Outgoing]) -> list[dict[str, Any]]:
        """Send these, and take them out of the queue as they lie there."""
        self._send(messages)
        return self.waiting()

    def _send(
        self, messages: list[Outgoing], watch: Callable[[CeleryPublisher], object] = lambda publisher: None
    ) -> list[Any]:
        clock = SystemClock()
        broker = Broker(self.app, self.app.amqp.Producer, clock)
        publisher = CeleryPublisher(_Nothing(), broker, clock, "a beat", lambda message: None)  # type: ignore[arg-type]
        watch(publisher)
        assert publisher.ready()
        receipts: list[Any] = []
        publisher.send_batch(messages, receipts)
        return receipts


class _Nothing:
    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        raise AssertionError("a parked message is no entry")


def outgoing(record: Record) -> Outgoing:
    ticket = Ticket(
        ns="n", store="s", key=record.key, gen=record.generation, due_at=record.due_at, attempt=1, task_id="another",
        aware=False, delivery="at_least_once",
    )  # fmt: skip
    assert record.lane is Lane.DELAYED
    return Outgoing(record=record, spec=record.spec, ticket=ticket, rules=Rules(), due_at=record.due_at)


def bare(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what differs between any two: delivery tags and the process's own oid."""
    properties = {**message["properties"]}
    properties.pop("delivery_tag", None)
    properties["delivery_info"] = {
        name: value for name, value in properties["delivery_info"].items() if name != "redelivered"
    }
    return {**message, "properties": properties}

"""An app, a store in memory with a clock that stands still, and a beat without Celery that shows what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from celery import Celery

from celery_pyncette.client import TaskState, schedule_task
from celery_pyncette.client.desk import Desk, seat
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Lane, Outcome, Record, Ticket, Token
from celery_pyncette.core.starts import Delivery, Granted, report, start
from celery_pyncette.engine.dispatcher import Dispatcher, Station
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.events import Observers
from celery_pyncette.settings import Settings
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Founding, Query, Store
from celery_pyncette.stores.writes import write_as_editor
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.testing.publisher import RecordingPublisher
from celery_pyncette.translate import translate_all


def app_of(**conf: Any) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update({"timezone": "Europe/Berlin", "result_expires": None, "pyncette_store_url": "memory://", **conf})
    return app


@dataclass
class Setting:
    """``store`` is what clients and the beat share; ``wrap`` it to make it fail for clients."""

    app: Celery = field(default_factory=app_of)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.store = MemoryStore("shop", clock=self.clock)
        self.meta = self.store.prepare(Founding(store_id="here"))
        self.serve(self.store)
        settings = Settings.of(self.app)
        entries, rejected = translate_all(self.app)
        assert rejected == {}
        definitions = StaticDefinitions(self.app, settings, entries)
        Reconciler(self.store, definitions, Observers()).run()
        self.publisher = RecordingPublisher(self.clock)
        station = Station("shop", "here", "beat")
        neighbours = Neighbours(self.store, "beat", {}, {})
        self.dispatcher = Dispatcher(
            station, self.store, definitions, self.publisher, neighbours, Observers(), self.clock
        )

    def serve(self, store: Store) -> None:
        """From now on client calls work with this store."""
        seat(Desk(self.app, store))

    def schedule(self, task: str, name: str, **more: Any) -> TaskState:
        return schedule_task(task, name, app=self.app, **more)

    def beat(self, seconds: float = 0) -> list[str]:
        """Let time pass, and the beat do all there is; the names that were sent, in order."""
        self.clock.advance(seconds)
        before = len(self.publisher.arrived)
        while self.dispatcher.cycle(Lane.ENTRIES).claimed:
            pass
        return [message.spec.name for message in self.publisher.arrived[before:]]

    @property
    def now(self) -> Instant:
        return self.clock.now()

    def record(self, key: str) -> Record | None:
        return self.store.fetch([Key(key)]).records[0]

    def records(self, prefix: str) -> list[Record]:
        return list(self.store.scan(Query(prefix=prefix, limit=1000)).records)

    def work(self, ticket: Ticket | None = None) -> Working:
        """A gated worker takes the last message that was sent, and starts it."""
        ticket = ticket or self.publisher.arrived[-1].ticket
        delivery = Delivery(ticket=ticket, task_id=ticket.task_id, retries=0, nonce="nonce", worker="worker")
        record = self.record(ticket.key)
        granted = start(record, delivery, self.now)
        assert isinstance(granted, Granted), granted
        write_as_editor(self.store, ticket.key, lambda before, now: granted.write)
        return Working(self, ticket, granted.token)


@dataclass
class Working:
    """A worker in the middle of a run."""

    setting: Setting
    ticket: Ticket
    token: Token

    def end(self, outcome: Outcome = Outcome.SUCCEEDED) -> None:
        """It reports, and a beat finalises."""

        def decide(before: Record | None, now: Instant) -> Any:
            return report(before, self.token, outcome, now, 0)

        write_as_editor(self.setting.store, self.ticket.key, decide)
        self.setting.beat()

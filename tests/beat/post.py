"""A beat in this process, over a broker and a store in memory: what it sends, as it lies in the queue."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

from celery import Celery

from celery_pyncette import Pyncette, Scheduler, TaskState, get_task, schedule_task
from celery_pyncette.apps import forget
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.events import Event
from celery_pyncette.middleware.registry import attach
from celery_pyncette.stores.writes import write_as_editor


class Seen:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def _report(*args: Any, **kwargs: Any) -> None: ...


class Post:
    """``pyncette`` is the extension of ``app``, without its mark on the process; ``did`` is the tests' own note."""

    def __init__(self, **conf: Any) -> None:
        self.name = secrets.token_hex(4)
        self.app = Celery("proj", broker=f"memory://{self.name}", backend="cache+memory://", set_as_current=False)
        own = {"pyncette_store_url": f"memory://{self.name}", "task_default_queue": f"q-{self.name}"}
        self.app.conf.update({"pyncette_seed": False, **own, **conf})
        self.app.task(_report, name="proj.report", shared=False)
        self.pyncette = Pyncette()
        attach(self.app, self.pyncette._middlewares)
        self.did: list[Any] = []
        self.seen = Seen()
        self.beat = Scheduler(self.app)
        self.beat.runtime.observers.add(self.seen)
        self.beat.tick()

    def due(self, name: str = "entry", **more: Any) -> None:
        """An entry that is due now, and then in an hour; of one that was made already, nothing holds it back."""
        if get_task(name, app=self.app) is None:
            schedule_task("proj.report", name, app=self.app, **{"interval": 3600, **more})
        write_as_editor(desk_of(self.app).store, Key(f"d:{name}"), _now)

    def tick(self) -> list[dict[str, Any]]:
        """One tick of the beat; the messages that it sent."""
        assert self.beat._conductor is not None
        self.beat._conductor.wake()
        self.beat.tick()
        return self.waiting()

    def state(self, name: str = "entry") -> TaskState:
        found = get_task(name, app=self.app)
        assert found is not None
        return found

    def waiting(self, queue: str | None = None) -> list[dict[str, Any]]:
        """Take the messages out of a queue of the broker, as they lie there."""
        found = []
        with self.app.connection_for_read() as connection:
            channel = connection.default_channel
            while True:
                try:
                    found.append(json.loads(json.dumps(channel._get(queue or self.app.conf.task_default_queue))))
                except Exception:  # the transport's Empty, or a queue that nobody has declared
                    return found

    def close(self) -> None:
        self.beat.close()
        forget(self.app)
        desk_of(self.app).close()


def _now(record: Record | None, now: Instant) -> Write:
    assert record is not None
    due_at = record.due_at if record.run is not None or record.due_at < now else now
    return Write(record=replace(record, due_at=due_at, lease=None))

"""A beat in this process, over a broker and a store in memory: what it sends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery_pyncette import Pyncette, Scheduler, TaskState, get_task, schedule_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.middleware.registry import attach
from celery_pyncette.stores.writes import write_as_editor
from tests.support.in_memory import AppInMemory


def _report(*args: Any, **kwargs: Any) -> None: ...


class Post(AppInMemory):
    """``pyncette`` is the extension of ``app``, without its mark on the process; ``did`` is the tests' own note."""

    def __init__(self, **conf: Any) -> None:
        super().__init__({"pyncette_seed": False, **conf})
        self.app.task(_report, name="proj.report", shared=False)
        self.pyncette = Pyncette()
        attach(self.app, self.pyncette._middlewares)
        self.did: list[Any] = []
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

    def close(self) -> None:
        self.beat.close()
        super().close()


def _now(record: Record | None, now: Instant) -> Write:
    assert record is not None
    due_at = record.due_at if record.run is not None or record.due_at < now else now
    return Write(record=replace(record, due_at=due_at, lease=None))

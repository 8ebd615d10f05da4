"""An app whose tasks are traced in this process, as in a pool, over a memory store with a clock that stands still."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from celery import Celery, signals
from celery.app.trace import build_tracer, setup_worker_optimizations

from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record, Ticket
from celery_pyncette.events import Event
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Applied, Change, Fetched, Founding, Meta
from celery_pyncette.testing import FakeClock
from celery_pyncette.worker import hooks
from celery_pyncette.worker.office import Office, office_of
from celery_pyncette.worker.tickets import NONCE
from tests.worker.support import STORE_ID, a_record, a_ticket, get, put


class Counted(MemoryStore):
    """Counts its calls, and can be away; ``lose`` forgets the answer of the next apply."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("proj", clock=clock)
        self.calls: list[str] = []
        self.away = False
        self.lose = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise StoreUnavailable("it is away")

    def prepare(self, founding: Founding | None) -> Meta:
        self._called("prepare")
        return super().prepare(founding)

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        self._called("apply")
        answer = super().apply(changes, seen)
        if self.lose > 0:
            self.lose -= 1
            raise StoreUnavailable("the answer was lost")
        return answer

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        self._called("fetch")
        return super().fetch(keys)


class Bench:
    """``seen`` are the events, ``did`` what the tasks wrote down."""

    def __init__(self, **conf: Any) -> None:
        self.clock = FakeClock(Instant(2_000_000))
        self.store = Counted(self.clock)
        self.store.prepare(Founding(store_id=STORE_ID))
        self.app = Celery("proj", broker="memory://", set_as_current=False)
        self.app.conf.update(pyncette_store_url="memory://unused", **conf)
        self.seen: list[Event] = []
        self.did: list[Any] = []

    def see(self, event: Event) -> None:
        self.seen.append(event)

    def task(self, **options: Any) -> Any:
        """The decorator of a task of this app alone."""
        return self.app.task(shared=False, **options)

    def ready(self) -> Bench:
        """Finalize the app, install the gate, put our store in."""
        self.app.finalize()
        hooks.install(self.app)
        office = self.office
        office.runtime.clock = self.clock
        if office._store is not None:
            return self
        office.runtime.observers.add(self)
        office._store = Guarded(
            self.store, office.runtime.observers, name="memory", budget=float("inf"), attempts=2, clock=self.clock
        )
        office.store_id()
        office.keeper.wake = lambda: None  # type: ignore[method-assign]
        self.store.calls.clear()
        return self

    @property
    def office(self) -> Office:
        return office_of(self.app)

    def run(self, task: Any, *args: Any, record: bool = True, **changes: Any) -> Ticket:
        """Record a run of a task, and trace it; answers its ticket."""
        ticket = a_ticket(secrets.token_hex(3), **changes)
        if record:
            put(self.store, a_record(ticket, task.name))
            self.store.calls.clear()
        self.state = self.trace(task, {"pyncette": ticket.as_header()}, ticket.task_id, args)
        return ticket

    def trace(
        self, task: Any, headers: dict[str, Any], task_id: str = "", args: Sequence[Any] = (), **request: Any
    ) -> str | None:
        """Trace one message of a task; answers the state that Celery gives it."""
        task = self.app.tasks[task.name]
        nonce = secrets.token_hex(4)
        task_id = task_id or secrets.token_hex(8)
        said = {
            "id": task_id,
            "task": task.name,
            "hostname": "w@host",
            "delivery_info": {NONCE: nonce},
            "nonce_of_test": nonce,
            "is_eager": False,
            "periodic_task_name": "entry",
            **headers,
            **request,
        }
        states: list[str | None] = []

        def note(request: Any = None, task: Any = None, state: str | None = None, **_: Any) -> None:
            if task.request.nonce_of_test == nonce:
                states.append(state)

        signals.task_postrun.connect(note, weak=False)
        try:
            self.traced = build_tracer(task.name, task, app=self.app)(task_id, list(args), {}, said)
        finally:
            signals.task_postrun.disconnect(note)
        return states[0]

    def record(self, ticket: Ticket) -> Record:
        return get(self.store, ticket.key)

    def outcome(self, ticket: Ticket) -> tuple[str | None, str | None]:
        """Outcome and reason of a run."""
        run = self.record(ticket).run
        assert run is not None
        return (None if run.outcome is None else run.outcome.value, run.reason)

    def names(self) -> list[str]:
        """What was told, but for calls of the store."""
        return [
            type(event).__name__ for event in self.seen if type(event).__name__ not in ("StoreAsked", "StoreCalled")
        ]


def as_in_a_worker(app: Celery) -> None:
    """What a worker does to Celery's own task class at its start."""
    setup_worker_optimizations(app)

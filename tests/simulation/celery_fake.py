"""As much of Celery as the worker's side touches: app, task, request, pool. What they do is what Celery's own do.

`tests/worker` holds the same code against the real Celery; here it meets crashes at every step.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from billiard.exceptions import Terminated, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette.events import Observers
from celery_pyncette.worker import office
from celery_pyncette.worker.office import Office
from celery_pyncette.worker.requests import GateMixin
from tests.simulation.message_queue import Message, Queue
from tests.simulation.processes import Process, SimKeeper, SimStore
from tests.simulation.store_view import SharedStore

NAMESPACE = "sim"


class App:
    """A Celery app as one process has it, with the office of that process."""

    def __init__(self, process: Process, shared: SharedStore, see: Any) -> None:
        self.process = process
        self.office = office._offices[self] = SimOffice(self, process, shared, see)


class SimOffice(Office):
    """The real office over the store of the simulation."""

    def __init__(self, app: App, process: Process, shared: SharedStore, see: Any) -> None:
        super().__init__(app)
        self._process = process
        self._shared = shared
        self._runtime: Any = SimpleNamespace(
            settings=SimpleNamespace(namespace=NAMESPACE),
            observers=Observers([SimpleNamespace(see=see)]),
            clock=process.clock,
            owner=process.owner,
        )

    @property
    def runtime(self) -> Any:
        return self._runtime

    @property
    def store(self) -> SimStore:
        if self._store is None:
            self._store = self._process.store(self._shared, attempts=2, budget=1e9)
        return self._store

    @property
    def keeper(self) -> SimKeeper:
        if self._keeper is None:
            self._keeper = SimKeeper(self._process, lambda: self.store, self._runtime.observers.see)
        return self._keeper


class Task:
    """The task that a child calls."""

    name = "tasks.work"

    def __init__(self, app: App, request: Any, acks_late: bool) -> None:
        self.app = app
        self.request = request
        self.acks_late = acks_late


class Context:
    """A task's request in the child: the message's headers as attributes."""

    called_directly = False
    is_eager = False

    def __init__(self, request_dict: dict[str, Any]) -> None:
        self.__dict__.update(request_dict)


class Info:
    """An ``ExceptionInfo``."""

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception


class Request:
    """A message in the worker's main process, as ``celery.worker.request.Request`` treats it."""

    def __init__(self, message: Message, tag: int, queue: Queue, app: App, acks_late: bool) -> None:
        self.message = message
        self.id = message.id
        self.app = app
        self.acks_late = acks_late
        self.worker_pid: int | None = None
        self.time_start: float | None = None
        self.over = False
        self._tag = tag
        self._queue = queue
        self._already_revoked = False
        self._already_cancelled = False
        self.delivery_info: dict[str, Any] = {"exchange": "celery"}
        self.request_dict: dict[str, Any] = {
            **message.headers,
            "id": message.id,
            "task": Task.name,
            "retries": message.retries,
            "hostname": app.process.owner,
            "delivery_info": self.delivery_info,
        }

    def revoked(self, known: set[str]) -> bool:
        """Whether it is thrown away: its message has expired, or one of the same id had."""
        expires, now = self.message.expires, self.app.process.clock.now()
        expired = expires is not None and now > expires
        if expired:
            self._queue.ledger.thrown_away(self.message.ticket)
            known.add(self.id)
        if self.id not in known:
            return False
        self._announce_revoked("expired" if expired else "revoked", False, None, expired)
        return True

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.worker_pid = pid
        self.time_start = time_accepted
        if not self.acks_late:
            self.acknowledge()

    def on_success(self, result: Any, **_: Any) -> None:
        failed, value, _runtime = result
        if failed:
            return self.on_failure(value, return_ok=True)
        return self.acknowledge()

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        self.over = True
        error = exc_info.exception
        if isinstance(error, Terminated):
            if not self._already_revoked:
                self._announce_revoked("terminated", True, str(error), False)
        elif isinstance(error, Reject) and error.requeue:
            self._queue.requeue(self._tag)
        elif isinstance(error, (Ignore, Reject, Retry)) or self.acks_late:
            self.acknowledge()

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        self.acknowledge()
        self._already_revoked = True

    def acknowledge(self) -> None:
        self._queue.acknowledge(self._tag)

    def send_event(self, *_: Any, **__: Any) -> None:
        pass


class Gated(GateMixin, Request):
    """What `worker.requests.gated` makes of it."""


class WorkerRequest(Gated):
    """The subclass that ``create_request_cls`` makes, with the methods that it defines anew."""

    def execute_using_pool(self, pool: Any, **_: Any) -> bool:
        if self.revoked(pool.revoked):
            return False
        pool.apply_async(self)
        return True

    def on_success(self, result: Any, **_: Any) -> None:
        failed, value, _runtime = result
        if failed:
            return self.on_failure(value, return_ok=True)
        return self.acknowledge()


def lost_child() -> Info:
    """What the pool says of a job whose process is gone."""
    return Info(WorkerLostError("signal 9"))


def terminated() -> Info:
    """What it says of a job that was stopped."""
    return Info(Terminated(15))


def forget_offices() -> None:
    """A run is over: the offices of its processes hold their own apps, and would stay for good."""
    for app in [app for app in office._offices if isinstance(app, App)]:
        del office._offices[app]


__all__ = ["NAMESPACE", "App", "Context", "Info", "Task", "WorkerRequest", "forget_offices", "lost_child", "terminated"]

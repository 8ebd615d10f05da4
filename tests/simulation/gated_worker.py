"""A worker that has the gate: its main process, with the real requests and the real keeper."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.starts import Refusal
from celery_pyncette.engine.keeping import KEEP_EVERY
from celery_pyncette.events import Event, ReportDropped, StartRefused
from celery_pyncette.worker.presence import Presence
from tests.simulation.celery_fake import App, WorkerRequest, terminated
from tests.simulation.pool_child import Child
from tests.simulation.processes import Process
from tests.simulation.work_site import FOREVER, Site
from tests.simulation.world import RESTARTS

#: How long the main process does not know that a child is gone.
UNNOTICED = (50, 2_000, 11_000)


@dataclass(slots=True)
class GatedWorker:
    """One host: one worker after another. ``prefork`` False: the pool is a thread of the main process."""

    site: Site
    name: str
    prefork: bool = True
    children: int = 1
    acks_late: bool = True
    prefetch: int = 2
    lives: int = 0

    def play(self) -> None:
        stage = self.site.world.stage
        while True:
            self.lives += 1
            me = stage.current
            main = Main(self, f"{self.name}-{self.lives}")
            main.process.at_death.append(lambda me=me: stage.wake(me))
            while not main.process.dead:
                stage.listen(FOREVER)
            self.site.queue.gone(main.process.owner)
            stage.pause(self.site.world.rng.choice(RESTARTS))


class Main:
    """The main process: takes messages, hands them to its children, hears what became of them."""

    def __init__(self, worker: GatedWorker, owner: str) -> None:
        self.worker = worker
        self.site = worker.site
        self.process = Process(worker.site.world, owner)
        self.app = App(self.process, self.site.shared, self._see)
        self.revoked: set[str] = set()
        self.inbox: list[tuple[int, Callable[[], None]]] = []
        self.reserved: list[WorkerRequest] = []
        self.pool: list[Child] = []
        self.pids = 0
        self.closing = False
        self.loop = self.process.add("main", self._consume)
        self.site.queue.consumers.append(self.loop)
        self.process.at_death.append(self._gone)

    def _see(self, event: Event) -> None:
        self.site.ledger.refused += isinstance(event, (StartRefused, ReportDropped))
        if isinstance(event, StartRefused) and event.reason == Refusal.PAUSED.value:
            self.site.world.excuse()  # its message is gone, and nobody sends it again at most once

    def _gone(self) -> None:
        self.site.queue.consumers.remove(self.loop)
        for child in self.pool:
            child.orphaned = True
            if self.site.world.rng.random() < 0.7 or child.job is None:
                child.process.kill()

    def tell(self, what: Callable[[], None], delay: int = 0) -> None:
        """Something that the main process hears of."""
        self.inbox.append((self.site.world.stage.now + delay, what))
        self.site.world.stage.wake(self.loop, self.site.world.stage.now + delay)

    def _consume(self) -> None:
        stage = self.site.world.stage
        presence = Presence(self.process.owner, {})
        self.app.office.keeper.every(KEEP_EVERY / 1000, presence.keep)
        for _ in range(self.worker.children):
            self._fork()
        while True:
            if self._hears() or self._hands_out() or self._takes():
                continue
            if self.closing and not any(child.job for child in self.pool):
                return self._leave(presence)
            times = [at for at, _ in self.inbox]
            next_at = None if self.closing else self.site.queue.next_at()
            if next_at is not None and self._has_room():
                times.append(next_at)
            stage.listen(max(1, min(times, default=stage.now + FOREVER) - stage.now))

    def _fork(self) -> None:
        self.pids += 1
        self.pool.append(Child(self, self.pids))

    def _hears(self) -> bool:
        due = min(self.inbox, key=_when, default=None)
        if due is None or due[0] > self.site.world.stage.now:
            return False
        self.inbox.remove(due)
        self.process.step()
        due[1]()
        return True

    def _hands_out(self) -> bool:
        idle = next((child for child in self.pool if child.job is None), None)
        if idle is None or not self.reserved or self.closing:
            return False
        self.process.step()
        if idle.job is None and idle in self.pool:
            self.reserved.pop(0).execute_using_pool(self)
        return True

    def _has_room(self) -> bool:
        return len(self.reserved) + sum(child.job is not None for child in self.pool) < self.worker.prefetch

    def _takes(self) -> bool:
        if self.closing or not self._has_room():
            return False
        taken = self.site.queue.take(self.process.owner)
        if taken is None:
            return False
        tag, message = taken
        self.process.step()
        self.reserved.append(WorkerRequest(message, tag, self.site.queue, self.app, self.worker.acks_late))
        world = self.site.world
        if world.chance(world.faults.stop):
            world.note(self.process.owner)
            self.closing = True
        return True

    def _leave(self, presence: Presence) -> None:
        """A warm shutdown."""
        self.app.office.keeper.flush(5.0)
        with contextlib.suppress(StoreUnavailable):
            presence.leave(self.app.office.store)
        self.process.kill()

    # --- the pool, as a request sees it ---

    def apply_async(self, request: WorkerRequest) -> None:
        """A free child takes the job."""
        child = next(child for child in self.pool if child.job is None)
        child.job = request
        self.site.world.stage.wake(child.loop)

    def __getattr__(self, name: str) -> Any:
        if name == "terminate_job" and self.worker.prefork:
            return self._terminate
        raise AttributeError(name)

    def _terminate(self, pid: int, signal: object) -> None:
        child = next((child for child in self.pool if child.pid == pid), None)
        if child is not None:
            child.end = terminated
            child.process.kill()

    def child_died(self, child: Child) -> None:
        """Its process is gone, with what it was doing."""
        delay = 50 if child.end is terminated else self.site.world.rng.choice(UNNOTICED)
        job = child.job

        def notice() -> None:
            self.pool.remove(child)
            if not self.closing:
                self._fork()
            if job is not None:
                job.on_failure(child.end())

        self.tell(notice, delay)


def _when(item: tuple[int, Any]) -> int:
    return item[0]

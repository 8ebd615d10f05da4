"""Who acts around result-aware runs: beats with the real conductor, and people who change their minds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from celery_pyncette.client.children import cascade
from celery_pyncette.clock import new_id
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Origin
from celery_pyncette.core.schedules import Every, Once
from celery_pyncette.delay.capture import put
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.post import Post
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.events import Observers
from celery_pyncette.parked import moving, remove_one
from celery_pyncette.stores.writes import Decision, write_as_editor
from tests.simulation.actors import CLAIM_TIME, POLL, User
from tests.simulation.book import Book, Entry, name_of
from tests.simulation.broker import SimPublisher
from tests.simulation.message_queue import Message
from tests.simulation.ordinary_worker import SimResults
from tests.simulation.processes import Process
from tests.simulation.run_ledger import RunLedger
from tests.simulation.store_view import StoreView
from tests.simulation.work_site import FOREVER, Site
from tests.simulation.world import RESTARTS

FINGERPRINT = "sim"


class QueuePublisher(SimPublisher):
    """A beat's way to the queue."""

    def __init__(self, site: Site, process: Process, unbuildable: frozenset[str]) -> None:
        super().__init__(site.world, site.ledger, process.owner, unbuildable, process.step)
        self._site = site
        self._process = process

    def _arrived(self, message: Outgoing) -> None:
        super()._arrived(message)
        ticket = message.ticket
        # What expires in so many seconds does so by the clock of whoever sends it.
        expires = None if message.expires_in is None else self._process.clock.now() + message.expires_in
        headers = {"pyncette": ticket.as_header(), "periodic_task_name": name_of(message.record)}
        self._site.queue.put(Message(headers, ticket.task_id, ticket, 0, expires=expires))


@dataclass(slots=True)
class AwareBeat:
    """One host: one beat after another. ``gated`` False: its workers are ordinary, and it asks the result backend."""

    site: Site
    book: Book
    name: str
    gated: bool = True
    unbuildable: frozenset[str] = frozenset()
    lives: int = 0

    def play(self) -> None:
        stage = self.site.world.stage
        while True:
            self.lives += 1
            me = stage.current
            process = Process(self.site.world, f"{self.name}-{self.lives}")
            process.at_death.append(lambda me=me: stage.wake(me))
            process.add("main", lambda process=process: self._live(process))
            while not process.dead:
                stage.listen(FOREVER)
            stage.pause(self.site.world.rng.choice(RESTARTS))

    def _live(self, process: Process) -> None:
        post = Post(
            namespace="sim",
            store_name="sim",
            owner=process.owner,
            fingerprint=FINGERPRINT,
            store_id=new_id(),
            poll_interval=POLL,
            claim_time=CLAIM_TIME,
            about={},
            last_runs=dict,
        )
        conductor = Conductor(
            post,
            process.store(self.site.shared),
            self.book,
            QueuePublisher(self.site, process, self.unbuildable),
            Observers(),
            process.clock,
            None if self.gated else SimResults(self.site, process),
        )
        while True:
            try:
                wait = conductor.tick()
            except SystemExit:
                with contextlib.suppress(StoreUnavailable):
                    conductor.give_back(process.store(self.site.shared))
                return process.kill()
            self.site.world.stage.pause(min(round(wait * 1000), POLL))


@dataclass(slots=True)
class RunUser(User):
    """Somebody who edits entries and does not let go until it is done, children of overlapping entries included."""

    ledger: RunLedger = field(default_factory=lambda: None)

    def _edit(self, entry: Entry) -> None:
        rng = self.world.rng
        if entry.followed:
            self._steer(entry)
            return
        roll = rng.uniform(0.55 if entry.origin is Origin.STATIC else 0.0, 1.0)
        if roll < 0.25:
            self._define(entry, self._replacing(replace(entry, payload=f"p{rng.randrange(5)}")))
        elif roll < 0.4 and not isinstance(entry.schedule, Once):
            self._define(entry, self._replacing(replace(entry, schedule=Every(rng.choice((5, 11, 17))))))
        elif roll < 0.55:
            self._define(entry, self._removing())
        elif roll < 0.72:
            self._write(entry, self._pausing())
        elif roll < 0.92:
            self._write(entry, self._resuming())
        else:
            self._write(entry, self._running())

    def wake_all(self) -> None:
        """A parked message is never paused by hand."""
        for entry in self.entries.values():
            if not entry.followed:
                self._write(entry, self._resuming())

    def _steer(self, entry: Entry) -> None:
        """Park it again under its id, cancel it, or give it another time, through the calls that people have."""
        roll, soon = self.world.rng.random(), self.world.rng.randrange(20_000)
        store = StoreView(self.shared, "user", mortal=False)
        self.edits_made += 1
        with contextlib.suppress(StoreUnavailable):
            if roll < 0.5:
                now = self.world.now()
                record = entry.parked(Instant(now + soon), now)
                put(store, record)
                self.ledger.retire(entry.key, record.generation)
            elif roll < 0.75:
                for record in store.fetch([entry.key]).records:
                    if record is not None:
                        remove_one(store, record)
                self.ledger.retire(entry.key, None)
            else:
                write_as_editor(store, entry.key, lambda before, now: moving(before, now, Instant(now + soon)))

    def _define(self, entry: Entry, decide: Decision) -> None:
        """Replace or remove, and have the one-shots follow; until both have succeeded."""
        store = StoreView(self.shared, "user", mortal=False)
        desk: Any = SimpleNamespace(rules=lambda spec, schedule: entry.rules)
        self.edits_made += 1
        while True:
            try:
                _, written = write_as_editor(store, entry.key, decide)
                cascade(desk, store, [entry.key])
                break
            except StoreUnavailable:
                self.world.stage.pause(1_000)
        self.ledger.retire(entry.key, None if written is None else written.generation)

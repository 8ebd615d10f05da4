"""Who acts: beats that die and come back, people who change their minds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from celery_pyncette.clock import new_id
from celery_pyncette.core import edits
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Lane, Origin, Pause, Record, Write
from celery_pyncette.core.schedules import Every, Once
from celery_pyncette.engine.dispatcher import Dispatcher
from celery_pyncette.engine.keeping import KEEP_EVERY, Neighbours
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.engine.steps import Station
from celery_pyncette.events import Observers
from celery_pyncette.stores.protocol import Founding
from celery_pyncette.stores.writes import Decision, write_as_editor
from tests.simulation.book import Book, Entry
from tests.simulation.broker import SimPublisher
from tests.simulation.store_view import SharedStore, StoreView
from tests.simulation.world import RESTARTS, Died, HostClock, World

POLL = 2_000
CLAIM_TIME = 10_000


@dataclass(slots=True)
class Beat:
    """One beat process after another on one host; each has its own owner id, and forgets what the last one knew."""

    world: World
    shared: SharedStore
    book: Book
    name: str
    lanes: tuple[Lane, ...] = (Lane.ENTRIES,)
    unbuildable: frozenset[str] = frozenset()
    lives: int = 0

    def play(self) -> None:
        me = self.world.stage.current
        while True:
            self.lives += 1
            owner = f"{self.name}-{self.lives}"
            try:
                self._live(owner)
            except Died:
                if me.doomed:
                    raise
            self.world.stage.pause(self.world.rng.choice(RESTARTS))

    def _live(self, owner: str) -> None:
        world, store = self.world, StoreView(self.shared, owner)
        clock = HostClock(world.stage, world.rng.randrange(-3_600_000, 3_600_000))
        neighbours = Neighbours(store, owner, {}, self.book.timings())
        reconciler = Reconciler(store, self.book, Observers())
        publisher = SimPublisher(world, self.shared.ledger, owner, self.unbuildable)
        station = Station("sim", "a store", owner, claim_time=CLAIM_TIME)
        dispatcher = Dispatcher(station, store, self.book, publisher, neighbours, Observers(), clock)

        def start() -> None:
            store.prepare(Founding(store_id=new_id()))
            if self.book.static():
                neighbours.keep()
                reconciler.run()

        self._patiently(start)
        keep_at = world.stage.now + KEEP_EVERY
        while True:
            try:
                wait = self._cycle(dispatcher, start)
                if self.book.static() and world.stage.now >= keep_at:
                    keep_at = world.stage.now + KEEP_EVERY
                    neighbours.keep()
            except StoreUnavailable:
                wait = POLL
            except SystemExit:
                return self._leave(dispatcher, owner)
            world.stage.pause(min(wait, POLL))

    def _cycle(self, dispatcher: Dispatcher, start: Callable[[], None]) -> int:
        done = [dispatcher.cycle(lane) for lane in self.lanes]
        if any(cycled.emptied for cycled in done):
            start()
        return min(cycled.wait_ms for cycled in done)

    def _leave(self, dispatcher: Dispatcher, owner: str) -> None:
        try:
            dispatcher.give_back(StoreView(self.shared, owner))
        except StoreUnavailable:
            return

    def _patiently(self, act: Callable[[], None]) -> None:
        while True:
            try:
                return act()
            except StoreUnavailable:
                self.world.stage.pause(POLL)


@dataclass(slots=True)
class User:
    """Somebody who edits the entries, through the loop that every editor uses."""

    world: World
    shared: SharedStore
    entries: dict[str, Entry]
    every: int
    edits_made: int = 0

    def play(self) -> None:
        while not self.world.calm:
            self.world.stage.pause(self.world.rng.randrange(1, 2 * self.every))
            if not self.world.calm and self.entries:
                name = self.world.rng.choice(sorted(self.entries))
                self._edit(self.entries[name])
        self.wake_all()
        while True:
            self.world.stage.pause(10_000)

    def _edit(self, entry: Entry) -> None:
        rng = self.world.rng
        # A static entry is its configuration's own: people pause it and run it now.
        roll = rng.uniform(0.55 if entry.origin is Origin.STATIC else 0.0, 1.0)
        if roll < 0.25:
            self._write(entry, self._replacing(replace(entry, payload=f"p{rng.randrange(5)}")))
        elif roll < 0.4 and not isinstance(entry.schedule, Once) and not self.world.faults.clock_back:
            # A new schedule counts from the store's now: by a clock that stepped back, times that were fired already.
            self._write(entry, self._replacing(replace(entry, schedule=Every(rng.choice((1, 3, 4, 9))))))
        elif roll < 0.55:
            self._write(entry, self._removing())
        elif roll < 0.75:
            self._write(entry, self._pausing())
        elif roll < 0.95:
            self._write(entry, self._resuming())
        else:
            self._write(entry, self._running())

    def wake_all(self) -> None:
        for entry in self.entries.values():
            self._write(entry, self._resuming())

    def _write(self, entry: Entry, decide: Decision) -> None:
        self.edits_made += 1
        try:
            write_as_editor(StoreView(self.shared, "user", mortal=False), entry.key, decide)
        except StoreUnavailable:
            return

    def _replacing(self, entry: Entry) -> Decision:
        definition = entry.definition()
        self.shared.ledger.know(entry)

        def decide(record: Record | None, now: Instant) -> Write | None:
            if record is None:
                return Write(record=edits.create(definition, now, entry.times(now)))
            after = edits.replaced(record, definition, now, entry.times(record.anchor), entry.rules)
            return None if after is None else Write(record=after)

        return decide

    def _removing(self) -> Decision:
        generation = new_id()
        return lambda record, now: None if record is None else edits.unscheduled(record, generation)

    def _pausing(self) -> Decision:
        rng = self.world.rng
        until = rng.choice((None, 2_000, 9_000))
        mode = rng.choice((None, "all", "latest", "none"))

        def decide(record: Record | None, now: Instant) -> Write | None:
            if record is None or record.removed or record.dead:
                return None
            pause = Pause(until=NEVER if until is None else Instant(now + until), catch_up=mode)
            return Write(record=edits.paused(record, pause))

        return decide

    def _resuming(self) -> Decision:
        def decide(record: Record | None, now: Instant) -> Write | None:
            after = None if record is None or record.removed else edits.resumed(record, now)
            return None if after is None else Write(record=after)

        return decide

    def _running(self) -> Decision:
        def decide(record: Record | None, now: Instant) -> Write | None:
            return None if record is None or record.removed or record.dead else edits.run_now(record, now)

        return decide

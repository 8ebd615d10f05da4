"""A dispatcher over a store in memory, with everything around it at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from celery_pyncette.core import edits
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Key, Lane, Origin, Record, Write
from celery_pyncette.core.schedules import Every
from celery_pyncette.engine.dispatcher import Dispatcher
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.steps import Cycled, Station
from celery_pyncette.events import Event, Observers
from celery_pyncette.stores.memory import MemoryStore, Space
from celery_pyncette.stores.protocol import Applied, Change, Founding, Query, Verdict
from celery_pyncette.stores.writes import change_of
from celery_pyncette.testing.clock import START, FakeClock
from celery_pyncette.testing.publisher import RecordingPublisher
from tests.simulation.book import Book, Entry

MINUTE = 60_000
PLAIN = Rules()


class WatchedStore(MemoryStore):
    """Calls ``on_apply`` before and ``after_apply`` after each write; remembers the keys of each."""

    def __init__(self, clock: FakeClock, space: Space) -> None:
        super().__init__("ns", clock=clock, space=space)
        self.applied: list[list[str]] = []
        self.on_apply: Callable[[Sequence[Change]], object] = lambda changes: None
        self.after_apply: Callable[[Sequence[Change]], object] = lambda changes: None

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        self.on_apply(changes)
        self.applied.append([change.key for change in changes])
        applied = super().apply(changes, seen)
        self.after_apply(changes)
        return applied


@dataclass
class Events:
    """An observer that keeps what it sees."""

    seen: list[Event] = field(default_factory=list)

    def see(self, event: Event) -> None:
        self.seen.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.seen if isinstance(event, kind)]


class Desk:
    """One beat; :meth:`beside` gives another one over the same store."""

    def __init__(
        self,
        book: Book | None = None,
        other: Desk | None = None,
        owner: str = "beat-1",
        start: Instant = START,
        store_type: type[WatchedStore] | None = None,
    ) -> None:
        self.clock = FakeClock(start) if other is None else other.clock
        self.space = Space() if other is None else other.space
        self.store = (store_type or WatchedStore)(self.clock, self.space)
        self.rules: dict[str, Rules] = {} if other is None else other.rules
        self.book = Book((), self.rules) if book is None else book
        self.publisher = RecordingPublisher(self.clock, owner)
        self.events = Events()
        self.owner = owner
        self.neighbours = Neighbours(self.store, owner, {}, self.book.timings())
        self.store.prepare(Founding(store_id="store"))
        self.dispatcher = Dispatcher(
            Station("ns", "store", owner),
            self.store,
            self.book,
            self.publisher,
            self.neighbours,
            Observers([self.events]),
            self.clock,
        )

    def beside(self, book: Book | None = None, owner: str = "beat-2") -> Desk:
        return Desk(book, self, owner)

    @property
    def now(self) -> Instant:
        return self.clock.now()

    def schedule(self, *entries: Entry, due_in: int = 0) -> list[Key]:
        """Put entries into the store, due in so many milliseconds, as if made a minute before that or now."""
        due = Instant(self.now + due_in)
        made = Instant(min(self.now, due - MINUTE)) if due_in < 0 else self.now
        for entry in entries:
            self.rules[entry.name] = entry.rules
            self.put(edits.create(entry.definition(), made, entry.times(made), due_at=due))
        return [entry.key for entry in entries]

    def put(self, record: Record) -> None:
        applied = self.store.apply([change_of(record.key, None, Write(record=record))])
        assert applied.written[0].verdict is Verdict.APPLIED

    def edit(self, key: Key, edit: Callable[[Record], Record | None]) -> Record | None:
        before = self.stored(key)
        assert before is not None
        after = edit(before)
        change = change_of(key, before, Write(record=after))
        assert MemoryStore.apply(self.store, [change]).written[0].verdict is Verdict.APPLIED
        return self.stored(key)

    def stored(self, key: Key) -> Record | None:
        return self.store.fetch([key]).records[0]

    def record(self, key: Key) -> Record:
        stored = self.stored(key)
        assert stored is not None
        return stored

    def all(self, prefix: str = "") -> list[Record]:
        return list(self.store.scan(Query(prefix=prefix, limit=10_000)).records)

    def cycle(self, lane: Lane = Lane.ENTRIES) -> Cycled:
        return self.dispatcher.cycle(lane)

    def sent(self) -> list[str]:
        """The names of the entries whose messages arrived, in order."""
        return [message.spec.name for message in self.publisher.arrived]


def dynamic(name: str, rules: Rules = PLAIN, every: int = 60) -> Entry:
    return Entry(name, Every(every), rules)


def static(name: str, rules: Rules = PLAIN, every: int = 60, payload: str = "p") -> Entry:
    return Entry(name, Every(every), rules, Origin.STATIC, payload)

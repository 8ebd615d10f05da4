"""A burst of parked messages is sent oldest first, and no entry of the schedule waits for it."""

from __future__ import annotations

import itertools

from celery_pyncette.clock import Clock
from celery_pyncette.core import edits
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Lane, Origin, Record, Write
from celery_pyncette.core.schedules import Every
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.parking import Message, Waiting, meaning_of, pack, record_of
from celery_pyncette.engine.post import Post
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.events import Observers
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import ClaimBatch, ClaimRequest, Founding
from celery_pyncette.stores.writes import change_of
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.testing.publisher import RecordingPublisher
from tests.simulation.book import Book, Entry

#: What one message takes the broker, in seconds of the fake clock.
A_SEND = 0.001


class WithParked(Book):
    """Knows parked messages beside its entries."""

    def meaning(self, record: Record) -> Meaning | None:
        if record.spec.origin is Origin.DELAYED:
            return meaning_of(record, Rules())
        return super().meaning(record)


class ByLane(MemoryStore):
    """Claims in time that does not grow with the burst: parked messages lie in a list, oldest first."""

    def __init__(self, clock: Clock, burst: int) -> None:
        super().__init__("ns", clock=clock)
        self.left, self.size, self.claimed_lanes = burst, burst, list[Lane]()

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        self.claimed_lanes.append(request.lane)
        if request.lane is Lane.DELAYED and self.left:
            self._refill(request.limit)
        batch = super().claim(request)
        if request.lane is Lane.DELAYED and self.left:
            return ClaimBatch(now=batch.now, records=batch.records, next_ready_at=Instant(0), meta=batch.meta)
        return batch

    def _refill(self, count: int) -> None:
        first = self.size - self.left
        numbers = range(first, min(first + count, self.size))
        changes = [change_of(r.key, None, Write(record=r)) for r in (parked(n, self.now()) for n in numbers)]
        super().apply(changes)
        self.left -= len(numbers)


def parked(number: int, due_at: int) -> Record:
    message = Message(body=b"[[], {}, {}]", headers={"id": f"{number:06}", "task": "t", "retries": 0}, sending={})
    return record_of(message, pack(message), Waiting(due_at=Instant(due_at)), Instant(0), "g")


def test_a_hundred_thousand_due_at_once_starve_no_entry():
    clock = FakeClock()
    publisher = RecordingPublisher(clock)
    sent: list[tuple[str, int]] = []

    def note(number: int, message: Outgoing) -> None:
        clock.advance(A_SEND)
        sent.append((message.record.key, clock.now()))

    publisher.before_each(note)
    entry = Entry("each second", Every(1), Rules())
    book = WithParked((entry,), {"each second": Rules()})
    store = ByLane(clock, 100_000)
    store.prepare(Founding(store_id="s", fingerprint="f"))
    made = edits.create(entry.definition(), clock.now(), entry.times(clock.now()), due_at=clock.now())
    store.apply([change_of(made.key, None, Write(record=made))])
    post = Post(
        namespace="ns", store_name="s", owner="beat", fingerprint="f", store_id="s", about={}, last_runs=dict
    )  # fmt: skip
    conductor = Conductor(post, store, book, publisher, Observers(), clock)
    while store.left > 93_000:
        clock.advance(conductor.tick())
    messages = [key for key, _ in sent if key.startswith("e:")]
    assert len(messages) >= 7_000
    assert messages == sorted(messages), "oldest first"
    runs = [at for key, at in sent if not key.startswith("e:")]
    assert len(runs) >= 6, "it is due seven times meanwhile"
    gaps = [later - earlier for earlier, later in itertools.pairwise(runs)]
    assert max(gaps) <= 1_250, "an entry waits for one batch at most"

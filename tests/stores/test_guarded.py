"""The guard around a store: what it repeats, for how long, and what it says about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_pyncette.core.errors import CorruptRecord, SchemaMismatch, StoreRefused, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Lane
from celery_pyncette.events import Event, StoreAsked, StoreBack, StoreCalled, StoreLost
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.memory import MemoryStore, Space
from celery_pyncette.stores.protocol import (
    Applied,
    Change,
    ClaimBatch,
    ClaimRequest,
    Fetched,
    Founding,
    Page,
    Query,
    Verdict,
    Written,
)
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.testing.contract.samples import create, replace_with, sample

REQUEST = ClaimRequest(owner="b", lane=Lane.ENTRIES, limit=10, lease_ms=1000)


class Scripted:
    """Answers by a script: an exception is raised, a number is the store's time. Each call takes ``takes`` seconds."""

    def __init__(self, clock: FakeClock, *script: int | Exception, takes: float = 0.0) -> None:
        self.script = list(script)
        self.asked: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.clock = clock
        self.takes = takes
        self.closed = 0

    def _answer(self, operation: str, argument: Any = None) -> Instant:
        self.asked.append((operation, argument))
        self.times.append(self.clock.monotonic())
        self.clock.advance(self.takes)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Instant(answer)

    def prepare(self, founding: Founding | None) -> Any:
        return self._answer("prepare", founding)

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        return ClaimBatch(now=self._answer("claim", request), records=())

    def apply(self, changes: Any, seen: Instant = Instant(0)) -> Applied:
        now = self._answer("apply", (changes, seen))
        return Applied(now, (Written(Verdict.APPLIED, 1),) * len(changes))

    def fetch(self, keys: Any) -> Fetched:
        return Fetched(self._answer("fetch", keys), ())

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        return Page(now=self._answer("scan", (query, cursor)), records=())

    def now(self) -> Instant:
        return self._answer("now")

    def close(self) -> None:
        self.closed += 1


class Listener:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def listener() -> Listener:
    return Listener()


def guard(store: Any, clock: FakeClock, listener: Listener | None = None, **options: Any) -> Guarded:
    return Guarded(store, listener, name="redis://h", clock=clock, **{"budget": 5.0, "chance": lambda: 1.0, **options})


def gone() -> StoreUnavailable:
    return StoreUnavailable("no route")


CHANGES = (create(sample("d:a")),)
CALLS: dict[str, Callable[[Guarded], Any]] = {
    "prepare": lambda g: g.prepare(Founding()),
    "claim": lambda g: g.claim(REQUEST),
    "apply": lambda g: g.apply(CHANGES),
    "fetch": lambda g: g.fetch([Key("d:a")]),
    "scan": lambda g: g.scan(Query()),
    "now": lambda g: g.now(),
}


@pytest.mark.parametrize("operation", CALLS)
def test_each_call_is_repeated_with_the_same_argument(operation: str, clock: FakeClock) -> None:
    store = Scripted(clock, gone(), gone(), 7)
    CALLS[operation](guard(store, clock))
    assert [name for name, _ in store.asked] == [operation] * 3
    assert store.asked[0] == store.asked[1] == store.asked[2]


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    "error", [StoreRefused("NOPERM"), SchemaMismatch("old"), CorruptRecord("d:a", "bad"), ValueError()]
)
def test_what_another_try_cannot_heal_is_not_repeated(operation: str, error: Exception, clock: FakeClock) -> None:
    store = Scripted(clock, error)
    with pytest.raises(type(error)):
        CALLS[operation](guard(store, clock))
    assert len(store.asked) == 1
    assert clock.monotonic() == 0


def test_waits_double_up_to_a_second(clock: FakeClock) -> None:
    store = Scripted(clock, *(gone() for _ in range(7)), 1)
    guard(store, clock, budget=60).now()
    waits = [round(b - a, 6) for a, b in zip(store.times, store.times[1:], strict=False)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 0.025), (0.5, 0.0375)])
def test_chance_shortens_a_wait_to_half_at_most(chance: float, wait: float, clock: FakeClock) -> None:
    store = Scripted(clock, gone(), 1)
    guard(store, clock, chance=lambda: chance).now()
    assert store.times == [0.0, pytest.approx(wait)]


@pytest.mark.parametrize("takes", [0.0, 0.3, 2.0, 5.0, 9.0])
def test_no_try_begins_after_the_budget(takes: float, clock: FakeClock) -> None:
    store = Scripted(clock, *(gone() for _ in range(100)), takes=takes)
    with pytest.raises(StoreUnavailable):
        guard(store, clock, budget=5).now()
    assert all(time < 5 for time in store.times)
    assert clock.monotonic() < 5 + max(takes, 1e-9)
    assert len(store.asked) == {0.0: 9, 0.3: 7, 2.0: 3, 5.0: 1, 9.0: 1}[takes]


def test_attempts_end_it_before_the_budget(clock: FakeClock) -> None:
    store = Scripted(clock, *(gone() for _ in range(9)))
    with pytest.raises(StoreUnavailable):
        guard(store, clock, attempts=3).now()
    assert len(store.asked) == 3


def test_a_budget_of_zero_repeats_nothing(clock: FakeClock) -> None:
    store = Scripted(clock, gone(), 1)
    with pytest.raises(StoreUnavailable):
        guard(store, clock, budget=0).now()
    assert len(store.asked) == 1


def test_one_event_for_each_call_repeats_included(clock: FakeClock, listener: Listener) -> None:
    store = Scripted(clock, gone(), 1, StoreRefused("NOPERM"), takes=0.25)
    guarded = guard(store, clock, listener)
    guarded.now()
    with pytest.raises(StoreRefused):
        guarded.claim(REQUEST)
    assert listener.events == [
        StoreAsked(operation="now"),
        StoreCalled(operation="now", seconds=pytest.approx(0.55), error=None),
        StoreAsked(operation="claim"),
        StoreCalled(operation="claim", seconds=pytest.approx(0.25), error="StoreRefused"),
    ]


def test_a_store_is_lost_once_and_back_once(clock: FakeClock, listener: Listener) -> None:
    store = Scripted(clock, 1, gone(), gone(), StoreRefused("NOAUTH"), 2, 3)
    guarded = guard(store, clock, listener, attempts=1)
    guarded.now()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            guarded.now()
        clock.advance(10)
    with pytest.raises(StoreRefused):
        guarded.now()
    assert listener.of(StoreBack) == []  # a refusal is no service
    guarded.now()
    guarded.now()
    assert listener.of(StoreLost) == [StoreLost(store="redis://h", error="no route")]
    assert listener.of(StoreBack) == [StoreBack(store="redis://h", seconds=20.0)]


def test_the_stores_name_is_said_once(clock: FakeClock, listener: Listener) -> None:
    store = Scripted(clock, StoreUnavailable("redis://h: no route"))
    with pytest.raises(StoreUnavailable):
        guard(store, clock, listener, attempts=1).now()
    assert listener.of(StoreLost) == [StoreLost(store="redis://h", error="no route")]


def test_a_blip_that_a_repeat_heals_is_no_loss(clock: FakeClock, listener: Listener) -> None:
    guard(Scripted(clock, gone(), 1), clock, listener).now()
    assert listener.of(StoreLost) == listener.of(StoreBack) == []


def test_a_corrupt_record_shows_that_the_store_is_back(clock: FakeClock, listener: Listener) -> None:
    guarded = guard(Scripted(clock, gone(), CorruptRecord("d:a", "bad")), clock, listener, attempts=1)
    with pytest.raises(StoreUnavailable):
        guarded.fetch([Key("d:a")])
    with pytest.raises(CorruptRecord):
        guarded.fetch([Key("d:a")])
    assert len(listener.of(StoreBack)) == 1


def test_the_highest_time_seen_is_passed_down_and_never_steps_back(clock: FakeClock) -> None:
    store = Scripted(clock, 1000, 400, 500, 600, 700, 2000, 1500)
    guarded = guard(store, clock)
    assert guarded.now() == 1000
    assert guarded.claim(REQUEST).now == 1000
    assert guarded.apply(CHANGES).now == 1000
    assert guarded.fetch([]).now == 1000
    assert guarded.scan(Query()).now == 1000
    assert guarded.claim(REQUEST).now == 2000
    assert guarded.apply(CHANGES, Instant(9000)).now == 2000
    assert [a.seen for name, a in store.asked if name == "claim"] == [1000, 1000]
    assert [a[1] for name, a in store.asked if name == "apply"] == [1000, 9000]
    assert guarded.seen == 2000


def test_what_the_caller_has_seen_counts_too(clock: FakeClock) -> None:
    store = Scripted(clock, 5)
    guard(store, clock).claim(ClaimRequest(owner="b", lane=Lane.ENTRIES, limit=1, lease_ms=1, seen=Instant(77)))
    assert store.asked[0][1].seen == 77


def test_close_asks_once_and_says_nothing(clock: FakeClock, listener: Listener) -> None:
    store = Scripted(clock)
    guard(store, clock, listener).close()
    assert (store.closed, listener.events) == (1, [])


class LosesAnswers(MemoryStore):
    """Does what it is asked, and then loses the answer to the calls named."""

    def __init__(self, *operations: str) -> None:
        super().__init__("n", clock=FakeClock(), space=Space())
        self.losing = list(operations)

    def _lose(self, operation: str) -> None:
        if operation in self.losing:
            self.losing.remove(operation)
            raise gone()

    def apply(self, changes: Any, seen: Instant = Instant(0)) -> Applied:
        applied = super().apply(changes, seen)
        self._lose("apply")
        return applied

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        batch = super().claim(request)
        self._lose("claim")
        return batch


def test_a_write_whose_answer_was_lost_is_written_once(clock: FakeClock) -> None:
    store = LosesAnswers("apply")
    guarded = guard(store, clock)
    written = guarded.apply([create(sample("d:a"), lease_for=None)]).written
    assert written == (Written(Verdict.APPLIED, 1),)
    [record] = store.fetch([Key("d:a")]).records
    assert record is not None
    store.losing = ["apply"]
    change: Change = replace_with(record, record)
    assert guarded.apply([change]).written == (Written(Verdict.APPLIED, 2),)
    [after] = store.fetch([Key("d:a")]).records
    assert after is not None
    assert (after.version, after.write_id) == (2, change.write_id)


def test_a_claim_whose_answer_was_lost_heals_with_its_lease(clock: FakeClock) -> None:
    store = LosesAnswers("claim")
    store.apply([create(sample("d:a"))])
    guarded = guard(store, clock)
    assert guarded.claim(REQUEST).records == ()
    fake = store._clock
    assert isinstance(fake, FakeClock)
    fake.advance(1.0)
    assert [record.key for record in guarded.claim(REQUEST).records] == ["d:a"]

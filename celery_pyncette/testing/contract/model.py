"""Any sequence of operations: the store and the memory store give the same answers.

Both are asked with the same ``seen``, far in the future, so that their times and tokens are equal too.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.records import Key, Lane, Lease, Record
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Change, Expected, Founding, Query, Store
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.testing.contract.samples import OPEN, PAUSED, REPORTED, RUNNING, sample
from celery_pyncette.testing.contract.setting import DAY, Setting, claim

NAMES = st.sampled_from(["d:a", "d:A", "d:a ", "d:é", "e:1", "e:2", "s:x%"])
STATES = st.sampled_from(
    [
        {},
        {"run": OPEN},
        {"run": RUNNING, "lease": Lease(owner="w", until=NEVER)},
        {"run": REPORTED},
        {"paused": PAUSED},
        {"dead": Instant(5)},
        {"removed": True},
        {"body": b"\x00raw"},
    ]
)


class ModelPromises(Setting):
    def test_any_sequence_of_operations_answers_as_memory_does(self, namespace: str) -> None:
        contract = self

        class Machine(_Machine):
            def open(self) -> Store:
                return contract.make_store(f"{namespace}-{new_id()}")

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


class _Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = self.open()
        self.model = MemoryStore("model", clock=FakeClock())
        for store in (self.store, self.model):
            store.prepare(Founding(partitions=4))
        self.time = self.store.now() + DAY
        self.past: list[Change] = []

    def open(self) -> Store:
        raise NotImplementedError

    def teardown(self) -> None:
        self.store.close()

    def both(self, changes: list[Change]) -> None:
        seen = Instant(self.time)
        assert self.store.apply(changes, seen) == self.model.apply(changes, seen)
        self.past += changes

    def known(self, key: str) -> Record | None:
        return self.model.fetch([Key(key)]).records[0]

    def record(self, key: str, wait: int, state: dict[str, Any]) -> Record:
        lane = Lane.DELAYED if key.startswith("e:") else Lane.ENTRIES
        return sample(key, self.time + wait, lane=lane, **state)

    @rule(ms=st.integers(0, 5_000))
    def pass_time(self, ms: int) -> None:
        self.time += ms

    @rule(key=NAMES, wait=st.integers(-2_000, 2_000), state=STATES, lease=st.none() | st.integers(0, 3_000))
    def create(self, key: str, wait: int, state: dict[str, Any], lease: int | None) -> None:
        self.both([self._change(None, key, wait, state, lease)])

    @rule(
        data=st.lists(st.tuples(NAMES, st.integers(-2_000, 2_000), STATES), unique_by=lambda t: t[0]),
        stale=st.booleans(),
    )
    def replace(self, data: list[tuple[str, int, dict[str, Any]]], stale: bool) -> None:
        changes = []
        for key, wait, state in data:
            before = self.known(key)
            expect = Expected("g1", 1) if before is None else Expected(before.generation, before.version - stale)
            changes.append(self._change(expect, key, wait, state, None))
        self.both(changes)

    def _change(self, expect: Expected | None, key: str, wait: int, state: dict[str, Any], lease: int | None) -> Change:
        if lease is not None:
            state = {**state, "lease": Lease(owner="x", until=Instant(0))}
        record = self.record(key, wait, state)
        return Change(key=record.key, expect=expect, record=record, write_id=new_id(), lease_for=lease)

    @rule(key=NAMES, children=st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True))
    def create_children(self, key: str, children: list[int]) -> None:
        before = self.known(key)
        parent = self.record(key, 500, {})
        made = tuple(sample(one_shot_key(parent.key, Instant(n), "g1"), self.time + n) for n in children)
        expect = None if before is None else Expected(before.generation, before.version)
        self.both([Change(key=parent.key, expect=expect, record=parent, write_id=new_id(), creates=made)])

    @rule(key=NAMES)
    def delete(self, key: str) -> None:
        before = self.known(key)
        expect = Expected("g1", 1) if before is None else Expected(before.generation, before.version)
        self.both([Change(key=Key(key), expect=expect, record=None, write_id=new_id())])

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        change = data.draw(st.sampled_from(self.past))
        seen = Instant(self.time)
        assert self.store.apply([change], seen) == self.model.apply([change], seen)

    @rule(
        lane=st.sampled_from(list(Lane)[:2]),
        lease_ms=st.sampled_from([0, 1, 1_000, 60_000]),
        partitions=st.none() | st.sets(st.integers(0, 3), min_size=1).map(lambda p: tuple(sorted(p))),
    )
    def claim(self, lane: Lane, lease_ms: int, partitions: tuple[int, ...] | None) -> None:
        how: dict[str, Any] = {"lane": lane, "lease_ms": lease_ms, "partitions": partitions}
        mine, theirs = claim(self.store, self.time, **how), claim(self.model, self.time, **how)
        assert sorted(mine.records, key=_key) == sorted(theirs.records, key=_key)
        assert (mine.now, mine.meta, mine.corrupt) == (theirs.now, theirs.meta, theirs.corrupt)
        if theirs.next_ready_at < self.time + lease_ms:  # whether what was just claimed counts as left is open
            assert mine.next_ready_at == theirs.next_ready_at

    @rule(lane=st.sampled_from(list(Lane)[:2]), limit=st.integers(1, 3))
    def claim_some(self, lane: Lane, limit: int) -> None:
        """Which of several that are ready at one millisecond is left open: only their number and times are compared."""
        mine, theirs = (claim(s, self.time, lane=lane, limit=limit, lease_ms=0) for s in (self.store, self.model))
        assert len(mine.records) == len(theirs.records)
        again = [claim(s, self.time, lane=lane, lease_ms=0) for s in (self.store, self.model)]
        assert len(again[0].records) == len(again[1].records)
        self.even_out()

    def even_out(self) -> None:
        """Make records equal again whose versions and tokens now differ: delete and forget them."""
        for store in (self.store, self.model):
            for record in _all(store, Query()):
                expect = Expected(record.generation, record.version)
                store.apply([Change(key=record.key, expect=expect, record=None, write_id=new_id())])
        self.past.clear()

    @rule(
        prefix=st.sampled_from(["", "d:", "d:a", "o:", "e:"]),
        limit=st.integers(1, 4),
        paused=st.none() | st.booleans(),
        running=st.none() | st.booleans(),
        dead=st.none() | st.booleans(),
    )
    def scan(self, prefix: str, limit: int, paused: bool | None, running: bool | None, dead: bool | None) -> None:
        query = Query(prefix=prefix, limit=limit, paused=paused, running=running, dead=dead)
        assert _all(self.store, query) == _all(self.model, query)

    @invariant()
    def hold_the_same(self) -> None:
        assert _all(self.store, Query()) == _all(self.model, Query())


def _key(record: Record) -> str:
    return record.key


def _all(store: Store, query: Query) -> list[Record]:
    found: list[Record] = []
    cursor: str | None = None
    while True:
        page = store.scan(query, cursor)
        found += page.records
        cursor = page.cursor
        if cursor is None:
            return [record for record in found if record.key != "m:meta"]

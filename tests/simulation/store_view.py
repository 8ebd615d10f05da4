"""The store as one process sees it: far away, sometimes gone, its answers sometimes lost.

Each call is one atomic step on the shared :class:`MemoryStore`. A call whose answer is lost is asked again a few times,
with the same arguments, as `stores.guarded` does; then it counts as unavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
from celery_pyncette.stores.memory import MemoryStore, Space
from celery_pyncette.stores.protocol import (
    Applied,
    Change,
    ClaimBatch,
    ClaimRequest,
    Fetched,
    Founding,
    Meta,
    Page,
    Query,
    Verdict,
)
from tests.simulation.ledger import Ledger
from tests.simulation.world import World

T = TypeVar("T")
_TRIES = 3


class SharedStore:
    """What all processes share, with the ledger that watches each write."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self.world = world
        self.ledger = ledger
        self.space = Space()
        self.store = MemoryStore("sim", clock=_StoreClock(world), space=self.space)

    def empty(self) -> None:
        """The store comes back without its data."""
        self.space.namespaces.clear()
        self.ledger.emptied()
        self.world.note("")

    def apply(self, owner: str, changes: Sequence[Change], seen: Instant) -> Applied:
        applied = self.store.apply(changes, seen)
        for change, answer in zip(changes, applied.written, strict=True):
            if answer.verdict is Verdict.APPLIED:
                self.ledger.wrote(owner, change, answer.version, applied.now)
        return applied

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        batch = self.store.claim(request)
        self.ledger.claimed(request, batch)
        return batch


class _StoreClock:
    def __init__(self, world: World) -> None:
        self.now = world.now

    def monotonic(self) -> float:
        raise AssertionError("a store measures nothing")

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a store never waits")


class StoreView:
    """See `stores.protocol.Store`.

    :param step: how its process steps; by itself if not given.
    :param tries: how often one call is asked before it counts as unavailable.
    """

    def __init__(
        self,
        shared: SharedStore,
        owner: str,
        mortal: bool = True,
        step: Callable[[], None] | None = None,
        tries: int = _TRIES,
    ) -> None:
        self._shared = shared
        self._world = shared.world
        self._owner = owner
        self._step = step or (lambda: self._world.step(owner, mortal))
        self._tries = tries
        self._in_doubt: set[str] = set()

    def prepare(self, founding: Founding | None) -> Meta:
        return self._call(lambda: self._shared.store.prepare(founding))

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        return self._call(lambda: self._shared.claim(request))

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        return self._call(lambda: self._shared.apply(self._owner, changes, seen), changes)

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        fetched = self._call(lambda: self._shared.store.fetch(keys))
        self._shared.ledger.read_at[self._owner] = fetched.now
        return fetched

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        return self._call(lambda: self._shared.store.scan(query, cursor))

    def now(self) -> Instant:
        return self._world.now()

    def close(self) -> None:
        pass

    def _call(self, act: Callable[[], T], changes: Sequence[Change] = ()) -> T:
        world = self._world
        for _ in range(self._tries):
            self._step()
            if world.store_away():
                world.note(self._owner)
                raise StoreUnavailable("the store is away")
            if world.chance(world.faults.emptied):
                self._shared.empty()
            if world.chance(world.faults.clock_back):
                world.step_back += world.rng.choice((1, 700, 5_000))
            answer = act()
            if not world.chance(world.faults.answer_lost):
                if self._in_doubt and isinstance(answer, Applied):
                    self._note_doubt(changes, answer)
                return answer
            self._in_doubt.update(change.write_id for change in changes)
            world.hit += 1
            world.stage.pause(200)
        if self._tries > 1:
            world.note(self._owner)
        raise StoreUnavailable("no answer in time")

    def _note_doubt(self, changes: Sequence[Change], answer: Applied) -> None:
        """A write asked again is known by its id, unless somebody has written since: then its fate stays unknown."""
        writers = self._shared.ledger.writers
        for change, written in zip(changes, answer.written, strict=True):
            if change.write_id in self._in_doubt:
                self._in_doubt.discard(change.write_id)
                if written.verdict is not Verdict.APPLIED and writers.get(change.key) != self._owner:
                    self._world.note(self._owner)

"""The desk of the engine's tests, with result-aware entries and a backend that says what it is told to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from celery_pyncette.core.attempts import task_id
from celery_pyncette.core.plans import Backend
from celery_pyncette.core.policies import Delivery, Overlap, Rules
from celery_pyncette.core.records import Key, Occurrence, Record, Run
from celery_pyncette.engine.dispatcher import Dispatcher
from celery_pyncette.engine.steps import Station
from celery_pyncette.events import Observers
from tests.engine.desk import Desk

AWARE = Rules(aware=True, overlap=Overlap.FORBID, gated=False)
GATED = replace(AWARE, gated=True)
AT_MOST = replace(AWARE, delivery=Delivery.AT_MOST_ONCE)
AT_MOST_GATED = replace(AT_MOST, gated=True)


class ToldResults:
    """`Results`, or a `Source`, out of a dict; raises while `down`, has no time for the `unsaid`."""

    def __init__(self) -> None:
        self.known: dict[str, Backend] = {}
        self.asked: list[list[str]] = []
        self.down: Exception | None = None
        self.unsaid: set[str] = set()

    def states(self, ids: Sequence[str]) -> Mapping[str, Backend | None]:
        self.asked.append(list(ids))
        if self.down is not None:
            raise self.down
        return {one: self.known.get(one) for one in ids if one not in self.unsaid}

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, Backend | None]]:
        yield from self.states(ids).items()


class AwareDesk(Desk):
    """One beat whose workers are ordinary; `results` is None for gated ones."""

    def __init__(self, gated: bool = False, other: Desk | None = None, owner: str = "beat-1") -> None:
        super().__init__(other=other, owner=owner)
        self.results = ToldResults()
        self.dispatcher = Dispatcher(
            Station("ns", "store", owner),
            self.store,
            self.book,
            self.publisher,
            self.neighbours,
            Observers([self.events]),
            self.clock,
            None if gated else self.results,
        )

    def says(self, record: Record, state: Backend, attempt: int | None = None) -> str:
        """The backend says this of an attempt (the last one) of the record's run."""
        run = record.run
        assert run is not None
        one = id_of(record.key, run, run.attempt if attempt is None else attempt)
        self.results.known[one] = state
        return one

    def run(self, key: Key) -> Run:
        run = self.record(key).run
        assert run is not None
        return run

    def after(self, seconds: float) -> AwareDesk:
        """Let time pass, and run a cycle."""
        self.clock.advance(seconds)
        self.cycle()
        return self


def id_of(key: Key, run: Run, attempt: int) -> str:
    return task_id("ns", Occurrence(key=key, generation=run.generation, due_at=run.due_at, attempt=attempt), aware=True)

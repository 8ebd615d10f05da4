"""One cycle of a beat: claim what is ready, decide, send, write down what came of it.

A claimed batch goes through in chunks: decide, write what must be written before sending, send,
settle. Between any two of these steps the beat may die; its leases end, and another beat goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from celery_pyncette.clock import Clock
from celery_pyncette.core.counting import hold_back
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Plan, Receipt, Sent
from celery_pyncette.core.records import Lane, Record
from celery_pyncette.engine.announce import Announcer
from celery_pyncette.engine.courtesy import Courtesy
from celery_pyncette.engine.deciding import Deciding
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.engine.giving_back import give_back
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.publisher import Publisher
from celery_pyncette.engine.results import Hearing, Results
from celery_pyncette.engine.sending import Sending
from celery_pyncette.engine.settling import Settling
from celery_pyncette.engine.steps import Cycled, InHand, Station, Step, only
from celery_pyncette.engine.writing import Writing, pause_parent
from celery_pyncette.events import Observers, Overtime
from celery_pyncette.stores.protocol import ClaimRequest, Store, Verdict

CHUNK = 50


class Dispatcher:
    """Claims, decides, sends and settles; one per beat, called from one thread.

    :param results: where the workers have no gate: who knows what became of their runs. None: they report it.
    """

    def __init__(
        self,
        station: Station,
        store: Store,
        definitions: Definitions,
        publisher: Publisher,
        neighbours: Neighbours,
        observers: Observers,
        clock: Clock,
        results: Results | None = None,
        courtesy: Courtesy | None = None,
    ) -> None:
        self._station = station
        self._store = store
        self._announce = Announcer(observers, station.owner)
        self._observers = observers
        self._clock = clock
        self._hearing = None if results is None else Hearing(station.namespace, results, observers)
        self._writing = Writing()
        self._deciding = Deciding(store, definitions, neighbours, self._announce)
        self._settling = Settling(definitions, self._writing, self._announce, station.claim_time)
        self._sending = Sending(station, publisher, self._writing, self._settling, self._announce, observers, clock)
        self._courtesy = courtesy or Courtesy(clock)
        self._hand = InHand()

    def cycle(self, lane: Lane) -> Cycled:
        """Claim one batch of a lane and see it through, chunk by chunk.

        :raises StoreUnavailable: what was sent and could not be written down is kept, and written
            at the next call.
        """
        try:
            return self._cycle(lane)
        except StoreUnavailable:
            self._courtesy.not_answered()
            raise

    def claims_nothing(self) -> None:
        """There is no broker: whether the store is away, too, as where one server is both, nobody sees."""
        self._courtesy.not_answered()

    def _cycle(self, lane: Lane) -> Cycled:
        self._settling.settle_all(self._store, self._hand)
        station, writing = self._station, self._writing
        claimed_at = self._clock.monotonic()
        batch = self._store.claim(
            ClaimRequest(
                owner=station.owner, lane=lane, limit=station.batch_size, lease_ms=station.claim_time, seen=writing.now
            )
        )
        self._courtesy.answered(claimed_at)
        writing.claimed(batch)
        self._hand.claimed = {record.key: record for record in batch.records}
        self._announce.claimed(lane, batch)
        for corrupt in batch.corrupt:
            self._announce.quarantined(corrupt.key, corrupt.reason)
            self._left_to_lease()
        self._deciding.begin({} if self._hearing is None else self._hearing.hear(batch.records))
        sent = self._see_through(batch.records, claimed_at)
        self._hand.claimed.clear()
        self._announce.cycle_ended(lane, len(self._hand.unsettled))
        elapsed = int((self._clock.monotonic() - claimed_at) * 1000)
        wait = max(0, writing.next_ready_at - batch.now - elapsed)
        return Cycled(len(batch.records), sent, wait, emptied=not batch.meta)

    def _see_through(self, records: Sequence[Record], claimed_at: float) -> int:
        sent = 0
        for start in range(0, len(records), CHUNK):
            chunk = records[start : start + CHUNK]
            if not self._in_time(claimed_at):
                self._overtime(len(records) - start)
                break
            steps = self._decide(chunk)
            self._sending.hold_without_broker(steps)
            steps = self._write_first(steps)
            if self._in_time(claimed_at):
                sent += self._sending.send(steps, self._hand)
            else:
                self._take_back(steps)
            self._settling.settle_all(self._store, self._hand)
        return sent

    def _in_time(self, claimed_at: float) -> bool:
        return (self._clock.monotonic() - claimed_at) * 2000 < self._station.claim_time

    def _overtime(self, count: int) -> None:
        self._observers.see(Overtime(count=count))
        self._left_to_lease()

    def _left_to_lease(self) -> None:
        """Something stays leased, and is ready again when that ends."""
        self._writing.ready_at(Instant(self._writing.now + self._station.claim_time))

    def _decide(self, records: Sequence[Record]) -> list[Step]:
        steps = []
        for record in records:
            left_alone = self._courtesy.wait_ms(record)
            if left_alone:
                steps.append(only(record, hold_back(record, left_alone)))
                continue
            step = self._deciding.decide(record, self._writing.now)
            if step is None:
                self._left_to_lease()
            else:
                steps.append(step)
        return steps

    def _take_back(self, steps: Sequence[Step]) -> None:
        """Too late to send: what was written for it is put back, the rest is left to its lease."""
        self._hand.unsent = []
        if steps:
            self._overtime(len(steps))
        for step in steps:
            if step.plan.first is not None:
                step.late = True
                step.receipt = Receipt(sent=Sent.FAILED, task_id="", error="half of the claim time had passed")
                self._hand.unsettled.append(step)

    def _write_first(self, steps: Sequence[Step]) -> list[Step]:
        """Write what must be written before sending; answers the steps whose message is to be sent."""
        for step in steps:
            pause = step.plan.pause
            one_shot = step.stored.key.startswith("o:")
            if pause is not None and one_shot and pause_parent(self._store, step.stored, pause):
                self._announce.paused(step.stored, pause.note)
        first = [(step, step.plan.first) for step in steps if step.plan.first is not None]
        written = self._writing.apply(self._store, [(step.stored.key, step.stored, write) for step, write in first])
        for (step, _), (change, answer) in zip(first, written, strict=True):
            self._hand.claimed.pop(step.stored.key, None)
            if answer.verdict is not Verdict.APPLIED and not self._writing.is_there_already(self._store, step, answer):
                self._announce.superseded(step.stored, "decide")
                step.plan = Plan(record=step.stored)
            elif change.record is not None:
                step.stored = replace(change.record, version=answer.version)
            self._announce.decided(step.plan, self._writing.now)
        to_send = [step for step in steps if step.plan.send is not None]
        self._hand.unsent = to_send
        return to_send

    def give_back(self, store: Store) -> None:
        """Before this process ends: settle what was sent, give back what was not, over a fresh store."""
        give_back(self._hand, store, self._settling, self._writing)

    @property
    def owes(self) -> bool:
        """Whether anything is in hand that the store should be told."""
        return self._hand.owes

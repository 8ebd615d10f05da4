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
from celery_pyncette.core.records import Lane, Record, Write
from celery_pyncette.core.settling import SEND_AGAIN
from celery_pyncette.engine.announce import Announcer
from celery_pyncette.engine.courtesy import Courtesy
from celery_pyncette.engine.deciding import Deciding
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.publisher import Outgoing, Publisher
from celery_pyncette.engine.results import Hearing, Results
from celery_pyncette.engine.settling import Settling
from celery_pyncette.engine.steps import Cycled, InHand, Station, Step, only
from celery_pyncette.engine.tickets import outgoing
from celery_pyncette.engine.writing import Writing, pause_parent
from celery_pyncette.events import Observers, Overtime, PublishBegan, PublishEnded
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
        self._publisher = publisher
        self._announce = Announcer(observers, station.owner)
        self._observers = observers
        self._clock = clock
        self._hearing = None if results is None else Hearing(station.namespace, results, observers)
        self._writing = Writing()
        self._deciding = Deciding(store, definitions, neighbours, self._announce)
        self._settling = Settling(definitions, self._writing, self._announce, station.claim_time)
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
        self._settle(self._store)
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
            self._hold_without_broker(steps)
            steps = self._write_first(steps)
            if self._in_time(claimed_at):
                sent += self._send(steps)
            else:
                self._take_back(steps)
            self._settle(self._store)
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

    def _hold_without_broker(self, steps: Sequence[Step]) -> None:
        """Before anything is used up: with no broker to send to, nothing is."""
        if not any(step.plan.send is not None and step.plan.first is not None for step in steps):
            return
        if self._publisher.ready():
            return
        for step in steps:
            if step.plan.send is not None:
                receipt = Receipt(sent=Sent.FAILED, task_id="", error="there is no connection to the broker")
                self._announce.sent(step.plan, receipt, self._writing.now, 0.0)
                step.plan = Plan(record=step.stored, first=hold_back(step.stored, SEND_AGAIN))

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

    def _send(self, steps: list[Step]) -> int:
        """Send, and keep the receipts; answers how many messages the broker has, or may have."""
        if not steps:
            return 0
        messages = [self._outgoing(step) for step in steps]
        receipts: list[Receipt] = []
        tasks = tuple([message.spec.task for message in messages])
        self._observers.see(PublishBegan(tasks=tasks))
        for step in steps:
            self._hand.claimed.pop(step.stored.key, None)
        self._hand.unsent = []
        started = self._clock.monotonic()
        try:
            self._publisher.send_batch(messages, receipts)
        except (SystemExit, KeyboardInterrupt):
            self._settling.leaving = True
            raise
        finally:
            seconds = (self._clock.monotonic() - started) / len(steps)
            for step, receipt in zip(steps, receipts, strict=False):
                step.receipt = receipt
                self._hand.unsettled.append(step)
                if not (self._settling.leaving and receipt.sent is Sent.FAILED):  # given back in a moment: no failure
                    self._announce.sent(step.plan, receipt, self._writing.now, seconds)
            self._observers.see(PublishEnded(tasks=tasks, seconds=seconds * len(steps), sent=_handed_over(receipts)))
        return _handed_over(receipts)

    def _outgoing(self, step: Step) -> Outgoing:
        occurrence, record, meaning = step.plan.send, step.stored, step.meaning
        assert occurrence is not None
        assert meaning is not None
        return outgoing(self._station.namespace, self._station.store_id, record, occurrence, meaning, self._writing.now)

    def _settle(self, store: Store) -> None:
        """Write down what came of everything that was sent; what fails stays in hand."""
        if self._hand.unsettled:
            self._settling.settle(store, self._hand.unsettled)
            self._hand.unsettled = []

    def give_back(self, store: Store) -> None:
        """Before this process ends: settle what was sent, give back what was not, over a fresh store.

        Whatever fails here is healed by the leases.
        """
        self._settling.leaving = True
        hand, self._hand = self._hand, InHand()
        self._hand.unsettled = hand.unsettled
        for step in hand.unsent:
            if step.plan.first is None:
                hand.claimed[step.stored.key] = step.stored
            else:
                step.receipt = Receipt(sent=Sent.FAILED, task_id="", error="the beat was stopped first")
                self._hand.unsettled.append(step)
        self._settle(store)
        claimed = hand.claimed.values()
        self._writing.apply(
            store, [(record.key, record, Write(record=replace(record, lease=None))) for record in claimed]
        )

    @property
    def owes(self) -> bool:
        """Whether anything is in hand that the store should be told."""
        return bool(self._hand.claimed or self._hand.unsent or self._hand.unsettled)


def _handed_over(receipts: Sequence[Receipt]) -> int:
    """How many messages the broker has, or may have."""
    return sum(receipt.sent in (Sent.SENT, Sent.UNSURE) for receipt in receipts)

"""One cycle of a beat: claim what is ready, decide, send, write down what came of it.

A claimed batch goes through in chunks: decide, write what must be written before sending, send,
settle. Between any two of these steps the beat may die; its leases end, and another beat goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from celery_pyncette.clock import Clock, new_id
from celery_pyncette.core.counting import hold_back
from celery_pyncette.core.edits import paused, unscheduled
from celery_pyncette.core.errors import CorruptRecord, StoreError
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.lifecycle import plan
from celery_pyncette.core.partitions import parent_of
from celery_pyncette.core.plans import Plan, Receipt, Sent, Settle
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Key, Lane, Origin, Pause, Record, Skip, Write
from celery_pyncette.core.settling import SEND_AGAIN, settle
from celery_pyncette.core.taking import OneTime, Skips
from celery_pyncette.engine.announce import Announcer
from celery_pyncette.engine.crowd import is_full
from celery_pyncette.engine.definitions import Definitions, Meaning
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.publisher import Outgoing, Publisher
from celery_pyncette.engine.reconcile import redefined
from celery_pyncette.engine.results import Heard, Hearing, Results
from celery_pyncette.engine.tickets import outgoing
from celery_pyncette.events import Observers, Overtime, PublishBegan, PublishEnded, Quarantined
from celery_pyncette.stores.protocol import Change, ClaimRequest, Store, Verdict, Written
from celery_pyncette.stores.writes import change_of, write_as_editor, write_as_holder

logger = logging.getLogger(__name__)

#: A record that this beat must not decide about is left to the others for this long, in milliseconds.
STEP_ASIDE = 1_000
#: An open run whose result backend cannot be asked is left alone for this long, in milliseconds.
UNHEARD = 2_000
CHUNK = 50


@dataclass(frozen=True, slots=True)
class Station:
    """Where a dispatcher works, and how much it takes at once; durations in milliseconds."""

    namespace: str
    store_id: str
    owner: str
    claim_time: int = 10_000
    batch_size: int = 100


@dataclass(slots=True)
class Step:
    """One record on its way through a chunk; ``stored`` is what the store has now.

    ``uses_up``: the settlement that was decided last takes up what the plan says. ``late``: too much of
    the claim time had passed to send it.
    """

    plan: Plan
    meaning: Meaning | None
    stored: Record
    receipt: Receipt | None = None
    uses_up: bool = False
    late: bool = False


@dataclass(slots=True)
class InHand:
    """What would be lost with this process; :meth:`Dispatcher.give_back` returns it.

    ``claimed``: nothing was done about it. ``unsent``: its message is not begun. ``unsettled``: its
    message has a fate that is not yet written down.
    """

    claimed: dict[Key, Record] = field(default_factory=dict)
    unsent: list[Step] = field(default_factory=list)
    unsettled: list[Step] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cycled:
    """What one cycle did; ``wait_ms`` until the lane has something ready, 0 if it has now.

    ``emptied``: the namespace's meta record is gone.
    """

    claimed: int
    sent: int
    wait_ms: int
    emptied: bool = False


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
    ) -> None:
        self._station = station
        self._store = store
        self._definitions = definitions
        self._publisher = publisher
        self._neighbours = neighbours
        self._announce = Announcer(observers, station.owner)
        self._observers = observers
        self._clock = clock
        self._hearing = None if results is None else Hearing(station.namespace, results, observers)
        self._heard: dict[Key, Heard] = {}
        self._hand = InHand()
        self._now = Instant(0)
        self._next = NEVER
        self._neighbours_read = False
        self._leaving = False

    def cycle(self, lane: Lane) -> Cycled:
        """Claim one batch of a lane and see it through, chunk by chunk.

        :raises StoreUnavailable: what was sent and could not be written down is kept, and written
            at the next call.
        """
        self._settle(self._store)
        self._neighbours_read = False
        station = self._station
        claimed_at = self._clock.monotonic()
        batch = self._store.claim(
            ClaimRequest(
                owner=station.owner, lane=lane, limit=station.batch_size, lease_ms=station.claim_time, seen=self._now
            )
        )
        self._now = max(self._now, batch.now)
        self._next = batch.next_ready_at
        self._hand.claimed = {record.key: record for record in batch.records}
        self._announce.claimed(lane, batch)
        for corrupt in batch.corrupt:
            self._quarantine(corrupt.key, corrupt.reason)
        self._heard = {} if self._hearing is None else self._hearing.hear(batch.records)
        sent = self._see_through(batch.records, claimed_at)
        self._hand.claimed.clear()
        self._announce.cycle_ended(lane, len(self._hand.unsettled))
        elapsed = int((self._clock.monotonic() - claimed_at) * 1000)
        wait = max(0, self._next - batch.now - elapsed)
        return Cycled(len(batch.records), sent, wait, emptied=not batch.meta)

    def _see_through(self, records: Sequence[Record], claimed_at: float) -> int:
        sent = 0
        for start in range(0, len(records), CHUNK):
            chunk = records[start : start + CHUNK]
            if not self._in_time(claimed_at):
                self._overtime(len(records) - start)
                break
            steps = [step for record in chunk if (step := self._decide(record)) is not None]
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
        self._next = min(self._next, Instant(self._now + self._station.claim_time))

    def _quarantine(self, key: str, reason: str) -> None:
        self._observers.see(Quarantined(key=key, reason=reason))
        self._left_to_lease()

    def _hold_without_broker(self, steps: Sequence[Step]) -> None:
        """Before anything is used up: with no broker to send to, nothing is."""
        if not any(step.plan.send is not None and step.plan.first is not None for step in steps):
            return
        if self._publisher.ready():
            return
        for step in steps:
            if step.plan.send is not None:
                receipt = Receipt(sent=Sent.FAILED, task_id="", error="there is no connection to the broker")
                self._announce.sent(step.plan, receipt, self._now, 0.0)
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

    def _decide(self, record: Record) -> Step | None:
        """What to do about a record; None for one that cannot be understood: its lease puts it off."""
        try:
            meaning = self._definitions.meaning(record)
            if meaning is None and record.removed:
                # Nobody defines it any more, and all that is left to do is to end its run and to delete it.
                return Step(plan(record, self._now, OneTime(record.due_at), Rules()), None, record)
            if meaning is None:
                return _only(record, hold_back(record, STEP_ASIDE))
            if record.spec.origin is Origin.STATIC and record.timing != meaning.timing:
                return Step(self._other_timing(record), None, record)
            return self._planned(record, meaning)
        except CorruptRecord as corrupt:
            self._quarantine(corrupt.key, corrupt.reason)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a schedule may be any class of the user's
            self._entry_failed(record, error)
        return None

    def _planned(self, record: Record, meaning: Meaning) -> Step:
        now, times, rules = self._now, meaning.times, meaning.rules
        heard = self._heard.get(record.key)
        if heard is not None and not heard.answered:
            return _only(record, hold_back(record, UNHEARD))
        if heard is not None and heard.backend is not None and record.run is not None:
            record = replace(record, run=replace(record.run, task_id=heard.task_id))
            return Step(plan(record, now, times, rules, heard.backend), meaning, record)
        if is_full(self._store, record, now, rules):
            return Step(plan(record, now, times, rules, full=True), meaning, record)
        return Step(plan(record, now, times, rules), meaning, record)

    def _entry_failed(self, record: Record, error: Exception) -> None:
        """A schedule may be any class of the user's: its errors cost this entry alone."""
        logger.error("entry_failed", exc_info=error, extra={"entry": record.spec.name, "due_at": record.due_at})
        self._quarantine(record.key, f"{type(error).__name__}: {error}")

    def _other_timing(self, record: Record) -> Plan:
        """The store has a static entry with another timing than this beat: whose is right?"""
        if self._others_define(record.spec.name, record.timing):
            return Plan(record=record, first=hold_back(record, STEP_ASIDE))
        if record.key.startswith("o:"):
            # One occurrence of a definition that is gone: what no edit has removed yet, as one would.
            due = record.due_at if record.run is None else record.run.due_at
            started = record.run is not None and not record.run.is_open
            skips = None if started else Skips(due, due, 1, Skip.REPLACED)
            return Plan(record=record, first=unscheduled(record, new_id()), skips=skips)
        after = redefined(record, self._definitions, self._now)
        if after.run is not None and after.run.is_running:
            # A running record without a lease would never be ready again.
            return Plan(record=record, first=hold_back(after, 0))
        return Plan(record=record, first=Write(record=replace(after, lease=None)))

    def _others_define(self, name: str, timing: str) -> bool:
        """Whether a live manifest has it; what was read a while ago may lack a beat that has just started."""
        if self._neighbours.defines(name, timing):
            return True
        if not self._neighbours_read:
            self._neighbours.read()
            self._neighbours_read = True
        return self._neighbours.defines(name, timing)

    def _write_first(self, steps: Sequence[Step]) -> list[Step]:
        """Write what must be written before sending; answers the steps whose message is to be sent."""
        for step in steps:
            if step.plan.pause is not None and step.stored.key.startswith("o:"):
                self._pause_parent(step.stored, step.plan.pause)
        first = [(step, step.plan.first) for step in steps if step.plan.first is not None]
        written = self._apply(self._store, [(step.stored.key, step.stored, write) for step, write in first])
        for (step, _), (change, answer) in zip(first, written, strict=True):
            self._hand.claimed.pop(step.stored.key, None)
            if answer.verdict is not Verdict.APPLIED and not self._is_there_already(step, answer):
                self._announce.superseded(step.stored, "decide")
                step.plan = Plan(record=step.stored)
            elif change.record is not None:
                step.stored = replace(change.record, version=answer.version)
            self._announce.decided(step.plan, self._now)
        to_send = [step for step in steps if step.plan.send is not None]
        self._hand.unsent = to_send
        return to_send

    def _is_there_already(self, step: Step, answer: Written) -> bool:
        """Whether all that refused a write was the one-shot that it makes, which somebody ran by hand: then go on."""
        first = step.plan.first
        if answer.verdict is not Verdict.EXISTS or first is None or not first.creates:
            return False
        [(_, again)] = self._apply(self._store, [(step.stored.key, step.stored, replace(first, creates=()))])
        return again.verdict is Verdict.APPLIED

    def _pause_parent(self, record: Record, pause: Pause) -> None:
        """A one-shot failed, and its entry shall rest: before the one-shot is ended, so that no crash forgets it."""

        def decide(parent: Record | None, now: Instant) -> Write | None:
            idle = parent is None or parent.removed or parent.dead is not None or parent.paused is not None
            return None if parent is None or idle else Write(record=paused(parent, pause))

        answer, _ = write_as_editor(self._store, Key(parent_of(record.key)), decide)
        if answer.verdict is Verdict.APPLIED:
            self._announce.paused(record, pause.note)

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
            self._leaving = True
            raise
        finally:
            seconds = (self._clock.monotonic() - started) / len(steps)
            for step, receipt in zip(steps, receipts, strict=False):
                step.receipt = receipt
                self._hand.unsettled.append(step)
                if not (self._leaving and receipt.sent is Sent.FAILED):  # given back in a moment: no failure
                    self._announce.sent(step.plan, receipt, self._now, seconds)
            self._observers.see(PublishEnded(tasks=tasks, seconds=seconds * len(steps), sent=_handed_over(receipts)))
        return _handed_over(receipts)

    def _outgoing(self, step: Step) -> Outgoing:
        occurrence, record, meaning = step.plan.send, step.stored, step.meaning
        assert occurrence is not None
        assert meaning is not None
        return outgoing(self._station.namespace, self._station.store_id, record, occurrence, meaning, self._now)

    def _settle(self, store: Store) -> None:
        """Write down what came of everything that was sent; what fails stays in hand."""
        steps = self._hand.unsettled
        if not steps:
            return
        by_token = [step for step in steps if step.plan.settle is Settle.ADVANCE]
        if by_token:
            answers = write_as_holder(store, [(step.stored, self._settlement(step)) for step in by_token])
            for step, answer in zip(by_token, answers, strict=True):
                if answer.verdict is not Verdict.APPLIED:
                    self._announce.superseded(step.stored, "advance")
                elif step.uses_up:
                    self._announce.decided(step.plan, self._now)
        by_version = [step for step in steps if step.plan.settle is not Settle.ADVANCE]
        writes = [(step, self._settlement(step)(step.stored, self._now)) for step in by_version]
        self._apply(store, [(step.stored.key, _as_left(step), write) for step, write in writes if write is not None])
        self._hand.unsettled = []

    def _settlement(self, step: Step) -> Callable[[Record | None, Instant], Write | None]:
        def decide(stored: Record | None, read_at: Instant) -> Write | None:
            if stored is None:
                return None
            try:
                write = self._settled(step, stored, max(self._now, read_at))
            except Exception as error:  # noqa: BLE001 - a schedule may be any class of the user's
                self._entry_failed(stored, error)
                return None
            self._note(write)
            return write

        return decide

    def _settled(self, step: Step, stored: Record, now: Instant) -> Write | None:
        receipt, meaning = step.receipt, step.meaning
        assert receipt is not None
        assert meaning is not None
        times = meaning.times
        if stored.timing != step.stored.timing:
            current = self._definitions.meaning(stored)
            times = times if current is None else current.times
        step.uses_up = receipt.sent in (Sent.SENT, Sent.UNBUILDABLE) and stored.due_at == step.plan.record.due_at
        write = settle(step.plan, stored, receipt, now, times, meaning.rules)
        mine = self._leaving or step.late
        if mine and receipt.sent is Sent.FAILED and write is not None and write.record is not None:
            # The broker has no part in it: the others, or this beat, need not wait.
            return replace(write, record=replace(write.record, lease=None), lease_for=None)
        return write

    def _apply(self, store: Store, writes: Sequence[tuple[Key, Record | None, Write]]) -> list[tuple[Change, Written]]:
        if not writes:
            return []
        changes = [change_of(key, before, write) for key, before, write in writes]
        applied = store.apply(changes, self._now)
        self._now = max(self._now, applied.now)
        for _, _, write in writes:
            self._note(write)
        return list(zip(changes, applied.written, strict=True))

    def _note(self, write: Write | None) -> None:
        """Remember when a record that was just written is ready again."""
        if write is not None and write.record is not None:
            wait = write.lease_for
            ready_at = write.record.ready_at if wait is None else Instant(self._now + wait)
            self._next = min(self._next, ready_at)
            for created in write.creates:
                self._next = min(self._next, created.ready_at)

    def give_back(self, store: Store) -> None:
        """Before this process ends: settle what was sent, give back what was not, over a fresh store.

        Whatever fails here is healed by the leases.
        """
        self._leaving = True
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
        self._apply(store, [(record.key, record, Write(record=replace(record, lease=None))) for record in claimed])

    @property
    def owes(self) -> bool:
        """Whether anything is in hand that the store should be told."""
        return bool(self._hand.claimed or self._hand.unsent or self._hand.unsettled)


def _handed_over(receipts: Sequence[Receipt]) -> int:
    """How many messages the broker has, or may have."""
    return sum(receipt.sent in (Sent.SENT, Sent.UNSURE) for receipt in receipts)


def _only(record: Record, write: Write) -> Step:
    return Step(Plan(record=record, first=write), None, record)


def _as_left(step: Step) -> Record | None:
    """What the plan's first write left in the store; None where it deleted the record."""
    assert step.plan.first is not None
    return step.stored if step.plan.first.record is not None else None

"""How a chunk's messages get to the broker, and what came of each is kept."""

from __future__ import annotations

from collections.abc import Sequence

from celery_pyncette.clock import Clock
from celery_pyncette.core.counting import hold_back
from celery_pyncette.core.plans import Plan, Receipt, Sent
from celery_pyncette.core.settling import SEND_AGAIN
from celery_pyncette.engine.announce import Announcer
from celery_pyncette.engine.publisher import Outgoing, Publisher
from celery_pyncette.engine.settling import Settling
from celery_pyncette.engine.steps import InHand, Station, Step
from celery_pyncette.engine.tickets import outgoing
from celery_pyncette.engine.writing import Writing
from celery_pyncette.events import Observers, PublishBegan, PublishEnded


class Sending:
    """Sends through one publisher; a step that was sent has its receipt, and is in hand until that is settled."""

    def __init__(
        self,
        station: Station,
        publisher: Publisher,
        writing: Writing,
        settling: Settling,
        announce: Announcer,
        observers: Observers,
        clock: Clock,
    ) -> None:
        self._station = station
        self._publisher = publisher
        self._writing = writing
        self._settling = settling
        self._announce = announce
        self._observers = observers
        self._clock = clock

    def hold_without_broker(self, steps: Sequence[Step]) -> None:
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

    def send(self, steps: Sequence[Step], hand: InHand) -> int:
        """Send, and keep the receipts; answers how many messages the broker has, or may have."""
        if not steps:
            return 0
        messages = [self._outgoing(step) for step in steps]
        receipts: list[Receipt] = []
        tasks = tuple([message.spec.task for message in messages])
        self._observers.see(PublishBegan(tasks=tasks))
        for step in steps:
            hand.claimed.pop(step.stored.key, None)
        hand.unsent = []
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
                hand.unsettled.append(step)
                if not (self._settling.leaving and receipt.sent is Sent.FAILED):  # given back in a moment: no failure
                    self._announce.sent(step.plan, receipt, self._writing.now, seconds)
            self._observers.see(PublishEnded(tasks=tasks, seconds=seconds * len(steps), sent=_handed_over(receipts)))
        return _handed_over(receipts)

    def _outgoing(self, step: Step) -> Outgoing:
        occurrence, record, meaning = step.plan.send, step.stored, step.meaning
        assert occurrence is not None
        assert meaning is not None
        return outgoing(self._station.namespace, self._station.store_id, record, occurrence, meaning, self._writing.now)


def _handed_over(receipts: Sequence[Receipt]) -> int:
    """How many messages the broker has, or may have."""
    return sum(receipt.sent in (Sent.SENT, Sent.UNSURE) for receipt in receipts)

"""Writing down what came of each message that was sent, or was not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Sent, Settle
from celery_pyncette.core.records import Record, Write
from celery_pyncette.core.settling import settle
from celery_pyncette.engine.announce import Announcer
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.engine.steps import InHand, Step
from celery_pyncette.engine.writing import Writing
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import write_as_holder


class Settling:
    """``leaving``: this process ends, and what it did not send is ready at once for the others."""

    def __init__(self, definitions: Definitions, writing: Writing, announce: Announcer, claim_time: int) -> None:
        self._definitions = definitions
        self._writing = writing
        self._announce = announce
        self._claim_time = claim_time
        self.leaving = False

    def settle_all(self, store: Store, hand: InHand) -> None:
        """Write down what came of everything that was sent; what fails stays in hand."""
        if hand.unsettled:
            self.settle(store, hand.unsettled)
            hand.unsettled = []

    def settle(self, store: Store, steps: Sequence[Step]) -> None:
        """Write down what came of everything that was sent; nothing is, where the store fails."""
        by_token = [step for step in steps if step.plan.settle is Settle.ADVANCE]
        if by_token:
            answers = write_as_holder(store, [(step.stored, self._settlement(step)) for step in by_token])
            for step, answer in zip(by_token, answers, strict=True):
                if answer.verdict is not Verdict.APPLIED:
                    self._announce.superseded(step.stored, "advance")
                elif step.uses_up:
                    self._announce.decided(step.plan, self._writing.now)
        by_version = [step for step in steps if step.plan.settle is not Settle.ADVANCE]
        writes = [(step, self._settlement(step)(step.stored, self._writing.now)) for step in by_version]
        owed = [(step.stored.key, _as_left(step), write) for step, write in writes if write is not None]
        self._writing.apply(store, owed)

    def _settlement(self, step: Step) -> Callable[[Record | None, Instant], Write | None]:
        def decide(stored: Record | None, read_at: Instant) -> Write | None:
            if stored is None:
                return None
            try:
                write = self._settled(step, stored, max(self._writing.now, read_at))
            except Exception as error:  # noqa: BLE001 - a schedule may be any class of the user's
                self._announce.entry_failed(stored, error)
                self._writing.ready_at(Instant(self._writing.now + self._claim_time))
                return None
            self._writing.note(write)
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
        step.uses_up = (
            receipt.sent is Sent.SENT or receipt.sent.skips is not None
        ) and stored.due_at == step.plan.record.due_at
        write = settle(step.plan, stored, receipt, now, times, meaning.rules)
        mine = self.leaving or step.late
        if mine and receipt.sent is Sent.FAILED and write is not None and write.record is not None:
            # The broker has no part in it: the others, or this beat, need not wait.
            return replace(write, record=replace(write.record, lease=None), lease_for=None)
        return write


def _as_left(step: Step) -> Record | None:
    """What the plan's first write left in the store; None where it deleted the record."""
    assert step.plan.first is not None
    return step.stored if step.plan.first.record is not None else None

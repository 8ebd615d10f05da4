"""Decisions and receipts, told as events."""

from __future__ import annotations

import logging

from celery_pyncette.core.counting import why_unsent
from celery_pyncette.core.ending import never_sent
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Plan, Receipt, Sent, Settle
from celery_pyncette.core.records import Lane, Occurrence, Outcome, Record, Skip
from celery_pyncette.core.settling import SEND_AGAIN
from celery_pyncette.core.taking import Skips
from celery_pyncette.events import (
    Buried,
    Claimed,
    CycleEnded,
    Dispatched,
    Expected,
    NotStarted,
    Observers,
    Paused,
    PublishFailed,
    Quarantined,
    Repeated,
    Skipped,
    Superseded,
    UsedUp,
)
from celery_pyncette.stores.protocol import ClaimBatch

logger = logging.getLogger(__name__)


class Announcer:
    """Knows the events' shapes, so that the dispatcher need not."""

    def __init__(self, observers: Observers, beat: str) -> None:
        self._see = observers.see
        self.beat = beat

    def claimed(self, lane: Lane, batch: ClaimBatch) -> None:
        """A claim was answered."""
        waiting = [since for record in batch.records if (since := _waits_since(record)) is not None]
        self._see(
            Claimed(
                lane=lane.value,
                count=len(batch.records),
                now=batch.now,
                oldest=min(waiting, default=None),
                next_ready_at=batch.next_ready_at,
            )
        )

    def quarantined(self, key: str, reason: str) -> None:
        """A record cannot be understood: its lease puts it off."""
        self._see(Quarantined(key=key, reason=reason))

    def entry_failed(self, record: Record, error: Exception) -> None:
        """A schedule may be any class of the user's: its errors cost this entry alone."""
        logger.error("entry_failed", exc_info=error, extra={"entry": record.spec.name, "due_at": record.due_at})
        self.quarantined(record.key, f"{type(error).__name__}: {error}")

    def cycle_ended(self, lane: Lane, in_hand: int) -> None:
        """What was claimed is seen through."""
        self._see(CycleEnded(lane=lane.value, in_hand=in_hand))

    def decided(self, plan: Plan, now: Instant) -> None:
        """What a plan that was written has settled already."""
        record = plan.record
        self._alerts(plan, now)
        if plan.taken is not None and plan.taken.expected:
            self._see(
                Expected(key=record.key, entry=record.spec.name, task=record.spec.task, count=plan.taken.expected)
            )
        if plan.skips is not None:
            self._skipped(record, plan.skips)
        left = None if plan.first is None else plan.first.record
        if record.dead is None and left is not None and left.dead is not None:
            due_at = record.due_at if record.run is None else record.run.due_at
            self._see(Buried(key=record.key, entry=record.spec.name, task=record.spec.task, due_at=due_at))
        ended = plan.ended
        # What has ended is among the skips where nothing else was taken up with it.
        told = plan.skips is not None and plan.taken is None
        if ended is not None and not (ended.outcome is Outcome.SKIPPED and told):
            self._see(
                UsedUp(
                    key=record.key,
                    entry=record.spec.name,
                    task=record.spec.task,
                    due_at=ended.due_at,
                    outcome=ended.outcome.value,
                    attempt=ended.attempt,
                    reason=ended.reason,
                )
            )

    def _alerts(self, plan: Plan, now: Instant) -> None:
        """What somebody may want to look at: not started in time, lost, failed."""
        record, late, again = plan.record, plan.unstarted, plan.again
        entry, task = record.spec.name, record.spec.task
        if late is not None and late.dispatched_at is not None:
            self._see(
                NotStarted(
                    key=record.key,
                    entry=entry,
                    task=task,
                    due_at=late.due_at,
                    attempt=late.attempt,
                    waited=max(0, now - late.dispatched_at) / 1000,
                    again=plan.send is not None,
                )
            )
        if plan.pause is not None and not record.key.startswith("o:"):
            self.paused(record, plan.pause.note)
        if again is not None:
            opened = None if plan.first is None or plan.first.record is None else plan.first.record.run
            self._see(
                Repeated(
                    key=record.key,
                    entry=entry,
                    task=task,
                    due_at=again.due_at,
                    outcome=again.outcome.value,
                    attempt=again.attempt,
                    again_in=0.0 if opened is None else max(0, opened.until - now) / 1000,
                )
            )

    def paused(self, record: Record, note: str) -> None:
        """An entry came to rest because a run of it failed."""
        self._see(Paused(key=record.key, entry=record.spec.name, task=record.spec.task, note=note))

    def _skipped(self, record: Record, skips: Skips, said: str = "") -> None:
        self._see(
            Skipped(
                key=record.key,
                entry=record.spec.name,
                task=record.spec.task,
                due_at=skips.due_at,
                until=skips.until,
                count=skips.count,
                reason=skips.reason.value,
                at_least=skips.at_least,
                said=said,
            )
        )

    def sent(self, plan: Plan, receipt: Receipt, now: Instant, seconds: float) -> None:
        """What became of a message; ``now`` is the store's time at the claim."""
        record, occurrence = plan.record, plan.send
        assert occurrence is not None
        if receipt.sent in (Sent.SENT, Sent.UNSURE):
            self._see(
                Dispatched(
                    key=record.key,
                    entry=record.spec.name,
                    task=record.spec.task,
                    due_at=occurrence.due_at,
                    task_id=receipt.task_id,
                    attempt=occurrence.attempt,
                    lag=max(0, now - occurrence.due_at) / 1000,
                    seconds=seconds,
                    unsure=receipt.sent is Sent.UNSURE,
                )
            )
        if receipt.sent not in (Sent.SENT, Sent.VETOED):
            lost = receipt.sent is Sent.UNBUILDABLE
            counts_as_sent = receipt.sent is Sent.UNSURE and plan.settle is Settle.ADVANCED
            self._see(
                PublishFailed(
                    key=record.key,
                    entry=record.spec.name,
                    task=record.spec.task,
                    due_at=occurrence.due_at,
                    error=receipt.error or receipt.sent.value,
                    retry_in=None if lost or counts_as_sent else SEND_AGAIN / 1000,
                )
            )
        if receipt.sent.skips is not None:
            self._never_sent(record, occurrence, receipt, receipt.sent.skips)

    def _never_sent(self, record: Record, occurrence: Occurrence, receipt: Receipt, reason: Skip) -> None:
        """An occurrence ends with this: skipped, unless an earlier attempt has started."""
        if record.run is None or record.run.starts == 0:
            said = receipt.error or "" if receipt.sent is Sent.VETOED else ""
            self._skipped(record, Skips(occurrence.due_at, occurrence.due_at, 1, reason), said)
            return
        self._see(
            UsedUp(
                key=record.key,
                entry=record.spec.name,
                task=record.spec.task,
                due_at=occurrence.due_at,
                outcome=never_sent(record.run).value,
                attempt=occurrence.attempt,
                reason=why_unsent(receipt),
            )
        )

    def superseded(self, record: Record, doing: str) -> None:
        """A write was refused because somebody else had acted."""
        self._see(Superseded(key=record.key, entry=record.spec.name, doing=doing))


def _waits_since(record: Record) -> Instant | None:
    """Since when a claimed record's next occurrence is due, if it is that which made it ready."""
    if record.run is not None or record.removed or record.dead is not None:
        return None
    return record.due_at if record.paused is None else max(record.due_at, record.paused.until)

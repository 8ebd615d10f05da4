"""Writes by version, and what a beat learns of them: the store's time, and when something is ready next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from celery_pyncette.core.edits import paused
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import parent_of
from celery_pyncette.core.records import Key, Pause, Record, Write
from celery_pyncette.engine.steps import Step
from celery_pyncette.stores.protocol import Change, ClaimBatch, Store, Verdict, Written
from celery_pyncette.stores.writes import change_of, write_as_editor


class Writing:
    """``now`` never goes back; ``next_ready_at`` is that of the lane of the latest claim."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self.next_ready_at = NEVER

    def claimed(self, batch: ClaimBatch) -> None:
        """A new cycle begins with this batch."""
        self.now = max(self.now, batch.now)
        self.next_ready_at = batch.next_ready_at

    def ready_at(self, moment: Instant) -> None:
        """Something is ready then."""
        self.next_ready_at = min(self.next_ready_at, moment)

    def apply(self, store: Store, writes: Sequence[tuple[Key, Record | None, Write]]) -> list[tuple[Change, Written]]:
        """Write each if the record is still the one given."""
        if not writes:
            return []
        changes = [change_of(key, before, write) for key, before, write in writes]
        applied = store.apply(changes, self.now)
        self.now = max(self.now, applied.now)
        for _, _, write in writes:
            self.note(write)
        return list(zip(changes, applied.written, strict=True))

    def note(self, write: Write | None) -> None:
        """Remember when a record that was just written is ready again."""
        if write is not None and write.record is not None:
            wait = write.lease_for
            self.ready_at(write.record.ready_at if wait is None else Instant(self.now + wait))
            for created in write.creates:
                self.ready_at(created.ready_at)

    def is_there_already(self, store: Store, step: Step, answer: Written) -> bool:
        """Whether all that refused a write was the one-shot that it makes, which somebody ran by hand: then go on."""
        first = step.plan.first
        if answer.verdict is not Verdict.EXISTS or first is None or not first.creates:
            return False
        [(_, again)] = self.apply(store, [(step.stored.key, step.stored, replace(first, creates=()))])
        return again.verdict is Verdict.APPLIED


def pause_parent(store: Store, record: Record, pause: Pause) -> bool:
    """A one-shot failed, and its entry shall rest: before the one-shot is ended, so that no crash forgets it."""

    def decide(parent: Record | None, now: Instant) -> Write | None:
        idle = parent is None or parent.removed or parent.dead is not None or parent.paused is not None
        return None if parent is None or idle else Write(record=paused(parent, pause))

    answer, _ = write_as_editor(store, Key(parent_of(record.key)), decide)
    return answer.verdict is Verdict.APPLIED

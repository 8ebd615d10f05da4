"""REPORT: how a run ended, written by whoever knows it, and told as an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_pyncette import events
from celery_pyncette.core import starts
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Outcome, Record, Token, Write
from celery_pyncette.core.starts import Delivery, Granted
from celery_pyncette.engine.holding import Labels

See = Callable[[events.Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended: an outcome, or None for one that Celery starts again at ``retry_at`` (monotonic seconds).

    ``requeued``: the broker delivers the same message again. ``unstarted``: nobody asked for its START, which is
    taken in the same write: what was revoked, or cannot be run here, is over.
    """

    outcome: Outcome | None
    reason: str | None = None
    retry_at: float = 0.0
    requeued: bool = False
    unstarted: bool = False

    @property
    def word(self) -> str:
        """For events."""
        return "retry" if self.outcome is None else self.outcome.value


@dataclass(slots=True, kw_only=True)
class Report:
    """REPORT of one run as an errand. Whose token is unknown here is recognised by its nonce."""

    delivery: Delivery
    labels: Labels
    ending: Ending
    see: See
    token: Token | None = None
    known: Record | None = None
    guessed_now: Instant = Instant(0)
    give_up_at: float = 0.0
    done: bool = False

    @property
    def key(self) -> Key:
        return self.delivery.ticket.key

    def decide(self, record: Record | None, now: Instant | None, asked_at: float) -> Write | None:
        now = self.guessed_now if now is None else now
        if self.token is None:
            record = self._recognised(record, now)
        write = None if self.token is None else self._report(record, self.token, now, asked_at)
        self.done = write is None
        if write is None and self.token is not None and self.ending.outcome is not None:
            if _says(record, self.token, self.delivery.task_id, self.ending.outcome):
                self.wrote_already()  # its answer was lost
            else:
                self.dropped("its lease is another's, or it is over")
        return write

    def _recognised(self, record: Record | None, now: Instant) -> Record | None:
        """Find the token of the START that this delivery's child asked for, or take it now."""
        run = None if record is None else record.run
        if run is not None and run.is_running and run.nonce == self.delivery.nonce:
            self.token = run.token
        elif self.ending.unstarted:
            decided = starts.start(record, self.delivery, now)
            if isinstance(decided, Granted):
                self.token = decided.token
                return decided.write.record
        return record

    def _report(self, record: Record | None, token: Token, now: Instant, asked_at: float) -> Write | None:
        ticket, ending = self.delivery.ticket, self.ending
        if ending.outcome is not None:
            return starts.report(record, token, ending.outcome, now, ticket.epoch, ending.reason)
        eta = Instant(now + max(0, int((ending.retry_at - asked_at) * 1000)))
        return starts.report_retry(record, token, eta, ticket.start_within, now, ticket.epoch, requeued=ending.requeued)

    def wrote(self, record: Record, asked_at: float) -> None:
        del record, asked_at
        self.wrote_already()

    def wrote_already(self) -> None:
        """Say that it is written."""
        self.done = True
        ticket = self.delivery.ticket
        self.see(
            events.Reported(
                key=ticket.key,
                entry=self.labels.entry,
                task=self.labels.task,
                due_at=ticket.due_at,
                task_id=self.delivery.task_id,
                outcome=self.ending.word,
                reason=self.ending.reason,
            )
        )

    def dropped(self, reason: str) -> None:
        """Say that it will never be written."""
        ticket = self.delivery.ticket
        self.see(
            events.ReportDropped(
                key=ticket.key,
                entry=self.labels.entry,
                task=self.labels.task,
                due_at=ticket.due_at,
                task_id=self.delivery.task_id,
                outcome=self.ending.word,
                reason=reason,
            )
        )


def _says(record: Record | None, token: Token, task_id: str, outcome: Outcome) -> bool:
    """Whether this outcome of this run is stored already."""
    if record is None:
        return False
    run = record.run
    if run is not None and run.token == token and run.outcome is outcome:
        return True
    return any(line.task_id == task_id and line.outcome == outcome.value for line in record.recent)

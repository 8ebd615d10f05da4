"""A run in a worker's hands: start it, renew it, report how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.core import starts
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Outcome, Record, Token, Write
from celery_pyncette.core.starts import Delivery, Granted, Refusal
from celery_pyncette.engine.errands import carry_out
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import change_of

See = Callable[[events.Event], None]
#: A START that is granted too late is asked for again this often.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Labels:
    """What people call a run."""

    entry: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A run that this process has started.

    ``record`` is as it was last written or read. Until ``deadline`` (monotonic seconds, counted from
    before the request) the lease is certainly ours; ``now`` was the store's time at ``at``.
    """

    delivery: Delivery
    labels: Labels
    record: Record
    token: Token
    deadline: float
    now: Instant
    at: float

    def store_now(self, monotonic: float) -> Instant:
        """The store's time as far as this process can tell without asking."""
        return Instant(self.now + int((monotonic - self.at) * 1000))


def start_run(store: Store, clock: Clock, delivery: Delivery, labels: Labels) -> Holding | Refusal:
    """START: two round trips if nobody comes in between.

    :raises StoreUnavailable: also if the store takes so long that each lease is over when it is granted.
    """
    key = delivery.ticket.key
    for _ in range(_TRIES):
        fetched = store.fetch([key])
        record = fetched.records[0]
        decided = starts.start(record, delivery, fetched.now)
        if not isinstance(decided, Granted):
            return decided
        assert decided.write.record is not None
        asked_at = clock.monotonic()
        applied = store.apply([change_of(key, record, decided.write)])
        deadline = asked_at + delivery.ticket.lease_ms / 1000
        if applied.written[0].verdict is Verdict.APPLIED and clock.monotonic() < deadline:
            return Holding(
                delivery=delivery,
                labels=labels,
                record=replace(decided.write.record, version=applied.written[0].version),
                token=decided.token,
                deadline=deadline,
                now=applied.now,
                at=asked_at,
            )
    raise StoreUnavailable(f"no START of {key!r} was granted in time")


@dataclass(slots=True, kw_only=True)
class Renewal:
    """RENEW of one holding as an errand; ``lost`` afterwards, or ``deadline`` is the new one."""

    token: Token
    lease_ms: int
    epoch: int
    key: Key
    known: Record | None
    deadline: float = 0.0
    lost: bool = False

    def decide(self, record: Record | None, now: Instant | None, asked_at: float) -> Write | None:
        del now, asked_at
        write = starts.renew(record, self.token, self.lease_ms, self.epoch)
        self.lost = write is None
        return write

    def wrote(self, record: Record, asked_at: float) -> None:
        del record
        self.deadline = asked_at + self.lease_ms / 1000


def renewed(store: Store, clock: Clock, holding: Holding) -> Holding | None:
    """RENEW: one round trip, or None if the lease is lost."""
    ticket = holding.delivery.ticket
    renewal = Renewal(
        token=holding.token, lease_ms=ticket.lease_ms, epoch=ticket.epoch, key=ticket.key, known=holding.record
    )
    carry_out(store, clock, [renewal])
    if renewal.lost or renewal.known is None:
        return None
    return replace(holding, record=renewal.known, deadline=renewal.deadline)


def looked_at(store: Store, clock: Clock, holding: Holding) -> Holding | None:
    """The holding as the store has it now; None if the lease is lost. Writes nothing."""
    ticket, asked_at = holding.delivery.ticket, clock.monotonic()
    fetched = store.fetch([ticket.key])
    record = fetched.records[0]
    if record is None or not starts.holds(record, holding.token, ticket.epoch):
        return None
    left = 0 if record.lease is None else record.lease.until - fetched.now
    return replace(holding, record=record, deadline=asked_at + left / 1000, now=fetched.now, at=asked_at)


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

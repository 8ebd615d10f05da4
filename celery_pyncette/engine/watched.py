"""One running task as the keeper sees it: when to renew it, and when its lease is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from celery_pyncette import events
from celery_pyncette.core import starts
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Delivery as Policy
from celery_pyncette.core.policies import Heartbeat, OnLeaseLost
from celery_pyncette.core.records import Key, Record, Run, Token, Write
from celery_pyncette.core.starts import Delivery, Granted, Refusal
from celery_pyncette.engine.holding import Labels
from celery_pyncette.engine.reporting import See

#: What looks like a loss, and may be an end that this process has not heard of yet, is looked at again after this.
LOOK_AGAIN = 1.0
TAKEN_OVER = "its lease is another's"
UNREACHABLE = "its lease has ended while the store could not be reached"


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """An errand: RENEW of one task that the worker's main process has handed to its pool.

    The START is asked for by the pool's child; it is recognised in the record by its nonce. Times are
    monotonic seconds. ``stop`` stops the user code, where the pool can.
    """

    delivery: Delivery
    labels: Labels
    see: See
    stop: Callable[[], None]
    since: float
    known: Record | None = None
    token: Token | None = None
    attempt: int = 0
    deadline: float | None = None
    next_at: float = 0.0
    asked_at: float = 0.0
    suspected: bool = False
    lost: bool = False
    warned: bool = False
    over: bool = False

    def __post_init__(self) -> None:
        self.next_at = self.since + self.period

    @property
    def key(self) -> Key:
        return self.delivery.ticket.key

    @property
    def period(self) -> float:
        """Seconds between two renewals."""
        return self.delivery.ticket.lease_ms / 3000

    def renews(self, at: float) -> bool:
        """Whether it is this process that keeps the lease alive; else it only looks."""
        ticket = self.delivery.ticket
        if ticket.heartbeat == Heartbeat.COOPERATIVE.value:
            return False
        return ticket.max_run <= 0 or at - self.since < ticket.max_run / 1000

    def due(self, at: float) -> bool:
        """Whether it goes along with a round at ``at``: half a period early is no waste."""
        return not self.lost and at >= self.next_at - (0.0 if self.suspected else self.period / 2)

    def prepare(self, at: float) -> None:
        """Begin a round: what is not renewed is read anew."""
        self.asked_at = at
        if self.suspected or not self.renews(at):
            self.known = None

    def decide(self, record: Record | None, now: Instant | None, asked_at: float) -> Write | None:
        run = None if record is None else record.run
        if self.token is None and not self._recognise(run):
            self._not_started(record, run, now)
            return None
        assert self.token is not None
        ticket = self.delivery.ticket
        if record is None or not starts.holds(record, self.token, ticket.epoch):
            self._missed(record, run)
            return None
        self.suspected = False
        if self.renews(self.asked_at):
            return starts.renew(record, self.token, ticket.lease_ms, ticket.epoch)
        if now is not None and record.lease is not None:
            self.deadline = asked_at + (record.lease.until - now) / 1000
        self.next_at = self.asked_at + self.period
        return None

    def wrote(self, record: Record, asked_at: float) -> None:
        del record
        self.deadline = asked_at + self.delivery.ticket.lease_ms / 1000
        self.next_at = asked_at + self.period

    def _recognise(self, run: Run | None) -> bool:
        if run is None or not run.is_running or run.nonce != self.delivery.nonce:
            return False
        self.token, self.attempt = run.token, run.attempt
        return True

    def _not_started(self, record: Record | None, run: Run | None, now: Instant | None) -> None:
        """Its START is still to come; or this process slept, and its successor's stands in the record by now."""
        self.next_at = self.asked_at + self.period
        if run is not None and run.nonce == self.delivery.nonce:
            return  # it has reported already
        refusal = starts.start(record, self.delivery, now or Instant(0))
        if isinstance(refusal, Granted) or refusal in (Refusal.PAUSED, Refusal.DEADLINE):
            return
        self._suspect()

    def _missed(self, record: Record | None, run: Run | None) -> None:
        """The token does not count any more: the task has just ended, or its lease is lost."""
        if run is not None and run.due_at == self.delivery.ticket.due_at:
            if run.token == self.token or (run.retries == self.delivery.retries + 1 and run.attempt == self.attempt):
                self.next_at = self.asked_at + LOOK_AGAIN  # it has reported, or its retry has been handed over
                self.known = None
                return
            if run.attempt > self.attempt:
                self.lose(TAKEN_OVER)
                return
        self._suspect()

    def _suspect(self) -> None:
        if self.suspected:
            self.lose(TAKEN_OVER)
        self.suspected, self.known = True, None
        self.next_at = self.asked_at + LOOK_AGAIN

    def lose(self, reason: str) -> None:
        """The lease is lost for good: say so, and stop the user code if that is asked for."""
        if self.lost or self.over:
            return
        self.lost = True
        self._warn(reason)
        if self._terminates:
            self.stop()

    def unreachable(self, at: float) -> None:
        """The store did not answer: at least once, the end of the lease is told; or prevented, by stopping in time."""
        if self.lost or self.delivery.ticket.delivery == Policy.AT_MOST_ONCE.value:
            return
        lease = self.delivery.ticket.lease_ms / 1000
        end = self.since + lease if self.deadline is None else self.deadline
        if self._terminates and at >= end - min(5.0, lease / 6):
            self.lose(UNREACHABLE)
        elif at >= end and not self.warned:
            self._warn(UNREACHABLE)

    @property
    def _terminates(self) -> bool:
        return self.delivery.ticket.on_lease_lost == OnLeaseLost.TERMINATE.value

    def _warn(self, reason: str) -> None:
        self.warned = True
        ticket = self.delivery.ticket
        self.see(
            events.LeaseLost(
                key=ticket.key,
                entry=self.labels.entry,
                task=self.labels.task,
                due_at=ticket.due_at,
                task_id=self.delivery.task_id,
                reason=reason,
            )
        )

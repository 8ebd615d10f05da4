"""What a worker writes into a record: START, RENEW, REPORT. Each is decided on what is stored now.

A worker fetches the record, asks one of these functions, and writes the answer if nobody changed
the record meanwhile; else it fetches and asks again. Workers report, beats decide: nothing here
looks at a schedule, advances an entry or ends a run.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Lane, Lease, Outcome, Record, Run, Ticket, Token, Write


class Refusal(enum.Enum):
    """Why a message must not run, or a token no longer counts."""

    GONE = "gone"
    """There is no such record, or it was removed."""
    REPLACED = "replaced"
    """The message belongs to another definition of the entry."""
    OVER = "over"
    """The occurrence of the message is not the one in flight: it has ended, or has an outcome."""
    RUNNING = "running"
    """The run has been started by another delivery."""
    SUPERSEDED = "superseded"
    """A later attempt has taken its place, or another retry is expected."""
    PAUSED = "paused"
    """The entry is paused."""
    DEADLINE = "deadline"
    """Its deadline has passed."""
    EPOCH = "epoch"
    """The store has lost writes since the message was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of a message to a worker.

    ``retries`` is Celery's count, a replacement (``Task.replace``) counting as one more; ``nonce`` is made
    anew for each delivery by the worker's main process, ``task_id`` is the message's own.
    """

    ticket: Ticket
    task_id: str
    retries: int
    nonce: str
    worker: str


@dataclass(frozen=True, slots=True)
class Granted:
    """User code may start, as the holder of ``token``, once ``write`` is applied."""

    write: Write
    token: Token


def start(record: Record | None, delivery: Delivery, now: Instant) -> Granted | Refusal:
    """Ask for the START of a delivery.

    Not looked at: lease, delivery policy, and the clock but for the deadline. Asking again with the
    same nonce is granted with the same token.
    """
    ticket = delivery.ticket
    if record is None or record.removed:
        return Refusal.GONE
    run = record.run
    if record.epoch != ticket.epoch:
        return Refusal.EPOCH
    if record.generation != ticket.gen:
        return Refusal.REPLACED
    if run is None or run.due_at != ticket.due_at or run.outcome is not None or run.generation != ticket.gen:
        return Refusal.OVER
    if run.is_running and run.nonce == delivery.nonce and run.token is not None:
        return Granted(_renewal(record, run, ticket.lease_ms), run.token)
    refusal = _refusal(record, run, delivery, now)
    return refusal or _granted(record, run, delivery, now)


def _refusal(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    if run.is_running and not _is_handed_over(record, run, delivery):
        return Refusal.RUNNING
    if run.is_open and delivery.retries != run.retries:
        return Refusal.SUPERSEDED
    if run.is_open and delivery.ticket.attempt < run.attempt - run.unstarted:
        return Refusal.SUPERSEDED
    if record.paused is not None and record.paused.until > now:
        return Refusal.PAUSED
    if run.is_open and run.starts == 0 and run.deadline is not None and run.deadline <= now:
        return Refusal.DEADLINE
    return None


def _is_handed_over(record: Record, run: Run, delivery: Delivery) -> bool:
    """Whether it is the Celery retry of the run, come before its report.

    All attempts of a parked message share its id, and one that nobody waits for any more may still send a retry.
    """
    if delivery.retries != run.retries + 1 or delivery.task_id != run.task_id:
        return False
    return record.lane is not Lane.DELAYED or delivery.ticket.attempt == run.attempt


def _granted(record: Record, run: Run, delivery: Delivery, now: Instant) -> Granted:
    token = Token(max(record.token + 1, now))
    started = replace(
        run,
        token=token,
        started_at=now,
        worker=delivery.worker,
        nonce=delivery.nonce,
        task_id=delivery.task_id,
        starts=run.starts + 1,
        retries=delivery.retries,
        until=NEVER,
        poll_at=NEVER,
    )
    write = _renewal(replace(record, token=token), started, delivery.ticket.lease_ms)
    return Granted(write, token)


def holds(record: Record | None, token: Token, epoch: int) -> bool:
    """Whether the run with this token is still going on. Generation, tombstone and leases are not looked at."""
    run = None if record is None else record.run
    return record is not None and run is not None and run.is_running and run.token == token and record.epoch == epoch


def renew(record: Record | None, token: Token, lease_ms: int, epoch: int) -> Write | None:
    """RENEW: the lease counts from now again; None if it is lost."""
    if not holds(record, token, epoch):
        return None
    assert record is not None
    assert record.run is not None
    return _renewal(record, record.run, lease_ms)


def report(
    record: Record | None, token: Token, outcome: Outcome, now: Instant, epoch: int, reason: str | None = None
) -> Write | None:
    """REPORT: the run has this outcome, and a beat will finalise it; None if there is nothing to say any more."""
    if not holds(record, token, epoch):
        return None
    assert record is not None
    assert record.run is not None
    ended = replace(record.run, outcome=outcome, ended_at=now, reason=reason)
    return Write(record=replace(record, run=ended, lease=None))


def report_retry(
    record: Record | None,
    token: Token,
    eta: Instant,
    start_within: int,
    now: Instant,
    epoch: int,
    *,
    requeued: bool = False,
) -> Write | None:
    """REPORT of a Celery retry: the run is open again for the same message with one more retry, due at ``eta``.

    ``requeued``: the broker delivers the message itself again, which counts no retry.
    """
    if not holds(record, token, epoch):
        return None
    assert record is not None
    assert record.run is not None
    again = replace(
        record.run,
        started_at=None,
        worker=None,
        nonce=None,
        token=None,
        retries=record.run.retries + (0 if requeued else 1),
        dispatched_at=now,
        until=Instant(eta + start_within),
        poll_at=NEVER,
    )
    return Write(record=replace(record, run=again, lease=None))


def _renewal(record: Record, run: Run, lease_ms: int) -> Write:
    lease = Lease(owner=run.worker or "", until=Instant(0))
    return Write(record=replace(record, run=run, lease=lease), lease_for=lease_ms)

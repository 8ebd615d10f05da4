"""Gates that ask too little, or too much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery_pyncette.clock import new_id
from celery_pyncette.core import starts
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Lease, Record, Run, Write
from celery_pyncette.core.starts import Delivery, Refusal
from celery_pyncette.worker import gate

_start, _refusal, _renewal = starts.start, starts._refusal, starts._renewal
_delivery_of = gate.delivery_of


def start_whatever(record: Record | None, delivery: Delivery, now: Instant) -> Any:
    """No gate: whatever is delivered runs."""
    if record is None or record.run is None or record.run.outcome is not None:
        return _start(record, delivery, now)
    return starts._granted(record, record.run, delivery, now)


def start_again(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """A running run may be started by another delivery."""
    refusal = _refusal(record, run, delivery, now)
    return None if refusal is Refusal.RUNNING else refusal


def start_once_expired(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """A running run may be started once its lease has ended, whatever a beat thinks of it."""
    refusal = _refusal(record, run, delivery, now)
    over = record.lease is None or record.lease.until <= now
    return None if refusal is Refusal.RUNNING and over else refusal


def start_any_retry(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """The number of Celery retries is not compared."""
    return _refusal(record, run, replace(delivery, retries=run.retries + run.is_running), now)


def start_any_attempt(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """A copy of an attempt that has ended may start."""
    newest = replace(delivery, ticket=replace(delivery.ticket, attempt=run.attempt))
    return _refusal(record, run, newest, now)


def start_last_attempt(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """Each new claim takes the right to start from the messages before it."""
    stale = run.is_open and delivery.ticket.attempt != run.attempt
    return Refusal.SUPERSEDED if stale else _refusal(record, run, delivery, now)


def start_after_mark(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """A beat's claim is looked at."""
    claimed = run.is_open and record.lease is not None and record.lease.until > now
    return Refusal.RUNNING if claimed else _refusal(record, run, delivery, now)


def start_after_report(record: Record, run: Run, delivery: Delivery, now: Instant) -> Refusal | None:
    """A retry is started only once its predecessor has reported."""
    return Refusal.RUNNING if run.is_running else _refusal(record, run, delivery, now)


def start_any_generation(record: Record | None, delivery: Delivery, now: Instant) -> Any:
    """The generation is not compared."""
    if record is None or record.run is None:
        return _start(record, delivery, now)
    same = replace(record, run=replace(record.run, generation=delivery.ticket.gen), generation=delivery.ticket.gen)
    decided = _start(same, delivery, now)
    if isinstance(decided, Refusal):
        return decided
    written = decided.write.record
    assert written is not None
    assert written.run is not None
    true = replace(written, generation=record.generation, run=replace(written.run, generation=record.run.generation))
    return replace(decided, write=replace(decided.write, record=true))


def start_in_any_epoch(record: Record | None, delivery: Delivery, now: Instant) -> Any:
    epoch = 0 if record is None else record.epoch
    return _start(record, replace(delivery, ticket=replace(delivery.ticket, epoch=epoch)), now)


def a_nonce_of_its_own(ticket: Any, request: Any, nonce: str | None = None) -> Delivery:
    return replace(_delivery_of(ticket, request, nonce), nonce=new_id())


def lease_by_own_clock(record: Record, run: Run, lease_ms: int) -> Write:
    until = Instant((run.started_at or 0) + lease_ms)
    return Write(record=replace(record, run=run, lease=Lease(owner=run.worker or "", until=until)))

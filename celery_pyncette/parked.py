"""Parked messages found in a store and taken out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from celery_pyncette.clock import new_id
from celery_pyncette.core.edits import unscheduled
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record, Write
from celery_pyncette.engine.parking import PREFIX, Message, identity, unpack
from celery_pyncette.stores.protocol import Query, Store, Verdict
from celery_pyncette.stores.writes import write_as_editor

PAGE = 500


def walk(store: Store, queue: str | None = None, task: str | None = None) -> Iterator[tuple[Record, Message, Instant]]:
    """Every parked message that can be read, of one queue or task if they are given, and the store's time."""
    cursor: str | None = None
    while True:
        page = store.scan(Query(prefix=PREFIX, task=task, limit=PAGE), cursor)
        for record in page.records:
            message = readable(record)
            if message is not None and queue in (None, message.queue):
                yield record, message, page.now
        cursor = page.cursor
        if cursor is None:
            return


def records_of(store: Store, task_id: str) -> list[tuple[Record, Instant]]:
    """The parked messages of one task id, one for each retry that waits."""
    found: list[tuple[Record, Instant]] = []
    cursor: str | None = None
    while True:
        page = store.scan(Query(prefix=f"{PREFIX}{task_id}:", limit=PAGE), cursor)
        own = (record for record in page.records if identity(record.key)[0] == task_id and is_parked(record))
        found += [(record, page.now) for record in own]
        cursor = page.cursor
        if cursor is None:
            return found


def remove(store: Store, task_id: str) -> list[tuple[Record, bool]]:
    """Take every parked message of a task id out, as it was; each with whether a beat or worker had it already."""
    return [gone for record, _ in records_of(store, task_id) for gone in remove_one(store, record)]


def remove_one(store: Store, record: Record) -> list[tuple[Record, bool]]:
    """The same of one record: a list of one, or empty if it was gone. A run that is going on is not repeated."""
    gone: list[tuple[Record, bool]] = []

    def decide(before: Record | None, now: Instant) -> Write | None:
        gone.clear()
        if before is None or not is_parked(before):
            return None
        gone.append((before, is_claimed(before, now)))
        return unscheduled(before, new_id()[:8])

    answer, _ = write_as_editor(store, record.key, decide)
    return gone if answer.verdict is Verdict.APPLIED else []


def moving(before: Record | None, now: Instant, due_at: Instant) -> Write | None:
    """The write that gives a parked message another time; None if there is none, or a beat or worker has it, or had."""
    if before is None or not is_parked(before) or is_claimed(before, now) or _is_of_a_run(before):
        return None
    return Write(record=replace(before, due_at=due_at, lease=None))


def _is_of_a_run(record: Record) -> bool:
    """Whether beats wait for it at its time: its run has begun, or it is a retry within the run of another record."""
    message = readable(record)
    ticket = None if message is None else message.headers.get("pyncette")
    return record.run is not None or (isinstance(ticket, Mapping) and bool(ticket.get("aware")))


def due_of(record: Record) -> Instant:
    """The ETA, also of a message whose run has begun."""
    return record.due_at if record.run is None else record.run.due_at


def readable(record: Record) -> Message | None:
    """The message of a record that is parked, if it can be read."""
    try:
        return unpack(record.body or b"") if is_parked(record) else None
    except ValueError:
        return None


def is_parked(record: Record) -> bool:
    """Whether it is none that is over: a tombstone, or a dead letter."""
    return not record.removed and record.dead is None


def is_claimed(record: Record, now: Instant) -> bool:
    """Whether a beat is sending it, or a worker is running it, or has run it."""
    if record.run is not None and not record.run.is_open:
        return True
    lease = record.lease
    return lease is not None and bool(lease.owner) and lease.until > now

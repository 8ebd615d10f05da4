"""People who steer a parked message that is followed, and forget that it runs, or that a beat has it."""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record, Token, Write


def without_its_run(before: Record, record: Record) -> Record:
    return replace(record, token=Token(before.token + 1))


def with_its_open_run(before: Record, record: Record) -> Record:
    after = without_its_run(before, record)
    if before.run is None:
        return after
    return replace(after, run=before.run, lease=before.lease, counters=before.counters)


def under_the_old_token(before: Record, record: Record) -> Record:
    return replace(record, token=before.token)


def moving_whatever_it_does(before: Record | None, now: Instant, due_at: Instant) -> Write | None:
    return None if before is None or before.removed else Write(record=replace(before, due_at=due_at, lease=None))

"""What a record looks like after occurrences of it are counted, used up or skipped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.plans import Receipt, Sent
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import NOBODY, Counters, Lease, Outcome, Recent, Record, Write
from celery_pyncette.core.taking import Taken

#: A one-shot younger than this leaves a tombstone, for a client that asks again about its creation.
TOMBSTONE = 60_000


def hold_back(record: Record, wait_ms: int) -> Write:
    """Keep everybody from the record for a while."""
    return Write(record=replace(record, lease=Lease(owner=NOBODY, until=Instant(0))), lease_for=wait_ms)


def use(record: Record, taken: Taken, due_at: Instant, receipt: Receipt, now: Instant, rules: Rules) -> Write:
    """The occurrence is used up by being sent."""
    line = Recent(
        due_at=due_at, outcome="sent", task_id=receipt.task_id, dispatched_at=receipt.at or None, beat=receipt.beat
    )
    used = count(record, taken, now, started=1, recent=remembered(record, line, rules), lease=None)
    if not is_over(used):
        return Write(record=used)
    # What may have to be put back leaves a tombstone, so that its versions go on and never start anew.
    return finish(used, now, keep=rules.claim_time if rules.at_most_once else 0)


def skip_write(record: Record, taken: Taken, now: Instant, rules: Rules) -> Write:
    """All that is due is skipped."""
    rested = count(record, taken, now, lease=None)
    return bury(rested, now, rules) if is_over(rested) else Write(record=rested)


def unsent(record: Record, taken: Taken, due_at: Instant, receipt: Receipt, now: Instant, rules: Rules) -> Write:
    """The occurrence is skipped: there will be no message for it."""
    line = Recent(due_at=due_at, outcome=Outcome.SKIPPED.value, reason=why_unsent(receipt), beat=receipt.beat)
    skipped = count(record, taken, now, skipped=1, recent=remembered(record, line, rules), lease=None)
    return bury(skipped, now, rules) if is_over(skipped) else Write(record=skipped)


def why_unsent(receipt: Receipt) -> str:
    """What the history of an entry says of a message that will never be sent."""
    assert receipt.sent.skips is not None
    said = receipt.error if receipt.sent is Sent.VETOED else None
    return f"{receipt.sent.skips.value}: {said}" if said else receipt.sent.skips.value


def is_over(record: Record) -> bool:
    """Whether a one-shot has nothing left to do; one that an edit made of a recurring entry may have."""
    return record.one_shot and record.due_at >= NEVER


def finish(record: Record, now: Instant, keep: int = 0) -> Write:
    """Delete a one-shot; a young one leaves a tombstone until it is ``TOMBSTONE`` old, at least for ``keep``."""
    rest = max(keep, record.created_at + TOMBSTONE - now)
    if rest <= 0:
        return Write(record=None)
    bare = replace(record, removed=True, due_at=NEVER, body=None, recent=())
    return Write(record=replace(bare, lease=Lease(owner=NOBODY, until=Instant(0))), lease_for=rest)


def bury(record: Record, now: Instant, rules: Rules) -> Write:
    """Keep a one-off that was given up as a dead letter."""
    return Write(record=replace(record, lease=None, due_at=NEVER, dead=Instant(now + rules.dead_letter_ttl)))


def remembered(record: Record, line: Recent, rules: Rules) -> tuple[Recent, ...]:
    """The run history with one more line, bounded."""
    return () if rules.recent_runs == 0 else (*record.recent, line)[-rules.recent_runs :]


def count(record: Record, taken: Taken, now: Instant, started: int = 0, skipped: int = 0, **changes: Any) -> Record:
    """The record after these occurrences; a pause that is over is kept while it has more missed ones to decide."""
    pause = record.paused
    if pause is not None and pause.until <= now and pause.until < taken.next_due:
        pause = None
    left_out = 0 if taken.skips is None else taken.skips.count
    expected = record.counters.expected + taken.expected
    most = record.spec.max_runs
    exhausted = most is not None and expected - record.counters.skipped - left_out >= most
    counters = add(record.counters, expected=taken.expected, started=started, skipped=left_out + skipped)
    due_at = NEVER if exhausted else taken.next_due
    return replace(record, counters=counters, paused=pause, due_at=due_at, **changes)


def add(counters: Counters, expected: int = 0, started: int = 0, skipped: int = 0) -> Counters:
    """The counters with so many more."""
    return Counters(counters.expected + expected, counters.started + started, counters.skipped + skipped)


def uncount(counters: Counters) -> Counters:
    """The counters before one occurrence was taken up, which becomes due again."""
    return add(counters, expected=-1)

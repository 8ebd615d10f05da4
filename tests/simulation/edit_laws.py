"""What an edit may do to an entry and to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery_pyncette.core.records import Record
from tests.simulation.ledger import Violation

if TYPE_CHECKING:
    from tests.simulation.run_ledger import RunLedger


def check(ledger: RunLedger, owner: str, before: Record, after: Record | None) -> None:
    """One write of an editor about a record that was there. :raises Violation: if it may not."""
    old, new = before.run, None if after is None else after.run
    if old is not None and not old.is_open and (new is None or (new.token, new.outcome) != (old.token, old.outcome)):
        raise Violation(f"{before.key}: an edit forgot the run that was going on")
    if after is None or after.removed:
        _removed(ledger, before)
        return
    if before.removed or before.dead is not None:
        return
    if before.body is not None and after.due_at != before.due_at:
        _moved(ledger, before)
        return
    if after.lease != before.lease:
        raise Violation(f"{after.key}: an edit changed a lease")
    if new is not None and new.is_open and after.generation != before.generation:
        raise Violation(f"{after.key}: an edit kept the open run of the old definition")
    if old is not None and old.is_open and new is None:
        _dropped(ledger, before, after)
        return
    was_due = before.due_at <= ledger.read_at.get(owner, 0)
    if was_due and after.due_at != before.due_at and after.spec.enabled:
        raise Violation(f"{after.key}: an edit lost what was due")
    if after.counters != before.counters or after.anchor != before.anchor:
        raise Violation(f"{after.key}: an edit changed counters or anchor")


def is_parked_again(before: Record, after: Record | None) -> bool:
    """Whether another message of the same id takes the place of one that waits or runs."""
    over = before.removed or before.dead is not None
    parked = after is not None and after.body is not None and not after.removed
    return parked and not over and after is not None and after.generation != before.generation


def parked_again(ledger: RunLedger, before: Record, after: Record) -> None:
    """What ran goes on under its own generation and lease; what had only been sent is dropped."""
    old = before.run
    if old is None or old.is_open:
        if after.run is not None or after.lease is not None:
            raise Violation(f"{after.key}: parked again, it has the run or lease of the one before")
        if old is not None:
            ledger.story_of(before).used_up = "replaced"
    elif after.run != old or after.lease != before.lease:
        raise Violation(f"{after.key}: an edit forgot the run that was going on")
    if after.token <= before.token:
        raise Violation(f"{after.key}: parked again, its token has not grown")


def _moved(ledger: RunLedger, before: Record) -> None:
    if before.run is not None:
        raise Violation(f"{before.key} was moved after it was taken up")
    lease = before.lease
    if lease is not None and lease.owner and lease.until > ledger.world.now():
        raise Violation(f"{before.key} was moved while a beat had it")


def _removed(ledger: RunLedger, before: Record) -> None:
    if before.run is not None and before.run.is_open:
        ledger.story_of(before).used_up = "replaced"


def _dropped(ledger: RunLedger, before: Record, after: Record) -> None:
    """The open run of the old definition is dropped: its occurrence is planned again if it can be."""
    run, story, rules = before.run, ledger.story_of(before), ledger.rules_of(before)
    assert run is not None
    again = after.due_at == run.due_at
    if again and (before.timing != after.timing or (rules.at_most_once and (run.starts or rules.start_attempts == 1))):
        raise Violation(f"{after.key}: an edit has an occurrence run again")
    if not again and before.timing == after.timing and after.spec.enabled and not rules.at_most_once:
        raise Violation(f"{after.key} at {run.due_at}: an edit lost what was sent")
    story.used_up = None if again else "replaced"

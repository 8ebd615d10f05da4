"""What follows a publish: the write that is owed, decided on what is stored by then."""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.core.attempts import is_last, marked
from celery_pyncette.core.counting import add, hold_back, uncount, unsent, use, why_unsent
from celery_pyncette.core.ending import never_sent, use_up
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Plan, Receipt, Sent, Settle
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Record, Write
from celery_pyncette.core.taking import DueTimes, times_of

#: A publish that failed is tried again after this.
SEND_AGAIN = 5_000


def settle(plan: Plan, stored: Record, receipt: Receipt, now: Instant, times: DueTimes, rules: Rules) -> Write | None:
    """The write that follows a publish, decided on what is stored now; None where nothing is owed.

    ``stored`` is the record as the plan's first write left it, or as it was claimed if there was
    none. For ADVANCE it may have been edited meanwhile: ``times`` are those of its present definition.
    """
    match plan.settle:
        case Settle.ADVANCE:
            return _advance_as_holder(plan, stored, receipt, now, times, rules)
        case Settle.ADVANCED:
            return _after_use(plan, receipt, now, rules)
        case Settle.MARK:
            return _mark(plan, stored, receipt, now, rules)
        case None:
            return None


def _advance_as_holder(
    plan: Plan, stored: Record, receipt: Receipt, now: Instant, times: DueTimes, rules: Rules
) -> Write | None:
    assert plan.taken is not None
    assert plan.send is not None
    if _owner(stored) != _owner(plan.record):
        return None  # the lease has been given back: by an advance of ours, whose answer was lost
    if receipt.sent in (Sent.FAILED, Sent.UNSURE):
        return hold_back(stored, SEND_AGAIN)
    if stored.removed:
        return Write(record=None)
    if stored.due_at != plan.record.due_at:
        return Write(record=replace(stored, lease=None))
    taken = plan.taken
    if stored.timing != plan.record.timing:
        taken = replace(taken, next_due=times_of(stored, times).next_after(now))
    if receipt.sent.skips is not None:
        return unsent(stored, taken, plan.send.due_at, receipt, now, rules)
    return use(stored, taken, plan.send.due_at, receipt, now, rules)


def _owner(record: Record) -> str | None:
    return None if record.lease is None else record.lease.owner


def _after_use(plan: Plan, receipt: Receipt, now: Instant, rules: Rules) -> Write | None:
    match receipt.sent:
        case Sent.SENT | Sent.UNSURE:
            return None
        case Sent.FAILED:
            return hold_back(_put_back(plan), SEND_AGAIN)
        case Sent.UNBUILDABLE | Sent.VETOED:
            assert plan.taken is not None
            assert plan.send is not None
            return unsent(plan.record, plan.taken, plan.send.due_at, receipt, now, rules)


def _put_back(plan: Plan) -> Record:
    """The record as it was claimed, but for what was skipped on the way: that stays so, and stays counted."""
    record, taken = plan.record, plan.taken
    assert taken is not None
    assert taken.fire is not None
    skipped = 0 if taken.skips is None else taken.skips.count
    return replace(record, due_at=taken.fire, counters=add(record.counters, expected=skipped, skipped=skipped))


def _mark(plan: Plan, stored: Record, receipt: Receipt, now: Instant, rules: Rules) -> Write | None:
    run, sent = stored.run, receipt.sent
    assert run is not None
    if sent.skips is not None:
        # A one-off is kept, to be looked at; of a recurring entry, a veto is nothing to look at.
        kept = sent is Sent.UNBUILDABLE or not stored.key.startswith("o:")
        return use_up(stored, run, never_sent(run), now, rules, reason=why_unsent(receipt), given_up=kept).first
    if sent is Sent.SENT or (sent is Sent.UNSURE and is_last(run, rules)):
        run = replace(marked(run, now, rules), task_id=receipt.task_id)
        return Write(record=replace(stored, run=run, lease=None))
    if not is_last(run, rules):
        return hold_back(stored, SEND_AGAIN)
    # Certainly not sent: it must not count as one of the few sends, nor be taken for one of unknown fate.
    if plan.taken is not None:
        return hold_back(replace(stored, run=None, due_at=run.due_at, counters=uncount(stored.counters)), SEND_AGAIN)
    return hold_back(stored if plan.unstarted is None else replace(stored, run=plan.unstarted), SEND_AGAIN)

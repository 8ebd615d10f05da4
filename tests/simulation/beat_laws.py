"""What a beat may write about a run: take an occurrence up, open its run again, end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import OnFailure, Rules
from celery_pyncette.core.records import Counters, Outcome, Record, Run
from tests.simulation.ledger import Violation, difference
from tests.simulation.stories import Held, Story

if TYPE_CHECKING:
    from tests.simulation.run_ledger import RunLedger

#: Ends of runs that need no completed code.
EXCUSES = ("deadline", "replaced", "gave up", "unbuildable", "vetoed", "no outcome", "never started")


def check(ledger: RunLedger, owner: str, before: Record, after: Record | None, now: Instant) -> None:
    """One write of a beat about a record that was there. :raises Violation: if it may not."""
    old, new = before.run, None if after is None else after.run
    held = ledger.holders.get(before.key)
    if old is not None and old.is_running and held is not None and held.until > now and old != new:
        raise Violation(f"{owner} changed the run of {before.key} under its lease")
    if held is not None and old is not None and old.is_running and old != new:
        _neglected(ledger, before, held, now)
    if old is None and new is None:
        if after is not None:
            _rested(ledger, owner, before, after)
    elif old is None or (new is not None and old.due_at != new.due_at):
        assert after is not None
        _recorded(ledger, owner, before, after)
    elif new is None:
        _ended(ledger, before, after, old, now)
    elif new.dispatched_at is not None and old.dispatched_at is None and not ledger.rules_of(before).at_most_once:
        if ledger.story_of(before).sent == 0:
            raise Violation(f"{before.key} is said to be sent, and is not")
    elif new.is_open and not old.is_open:
        _opened_again(ledger, before, old, new, ledger.held[owner, before.key].at)


def _neglected(ledger: RunLedger, before: Record, held: Held, now: Instant) -> None:
    """A lease has ended although the user code goes on, and nothing has happened to its worker."""
    code = held.code
    if code is None or code.how is not None or now >= held.started_at + held.max_run:
        return
    owners = (code.owner, code.owner.partition(".")[0])
    if not any(ledger.world.trouble.get(owner, 0) >= held.story.recorded_at for owner in owners):
        raise Violation(f"{before.key}: the lease of {code.owner} ended, and nothing had gone wrong")


def _rested(ledger: RunLedger, owner: str, before: Record, after: Record) -> None:
    """No run before and none after: an overlapping entry moved on, or something was skipped."""
    added = difference(after.counters, before.counters)
    if after.due_at == before.due_at:
        if added != Counters():
            raise Violation(f"{after.key}: counted {added}, and took up nothing")
        return
    if added.started != ledger.children_made(before, after):
        raise Violation(f"{after.key}: {added} without a run")
    ledger.took(owner, before, after, added.expected)


def _recorded(ledger: RunLedger, owner: str, before: Record, after: Record) -> None:
    run = after.run
    assert run is not None
    added = difference(after.counters, before.counters)
    fire = ledger.took(owner, before, after, added.expected)
    if run.due_at != fire or run.attempt != 1 or not run.is_open:
        raise Violation(f"{after.key}: {run} was recorded for what was due at {fire}")
    if run.dispatched_at is not None:
        raise Violation(f"{after.key} is said to be sent, and is not")
    ledger.take_up(after, run)


def _opened_again(ledger: RunLedger, before: Record, old: Run, new: Run, claimed_at: Instant) -> None:
    """Lost or failed, and to be tried again."""
    rules, story = ledger.rules_of(before), ledger.story_of(before)
    if rules.at_most_once:
        raise Violation(f"{before.key}: opened again at most once")
    if old.outcome is Outcome.SUCCEEDED or (old.outcome is Outcome.FAILED and rules.on_failure is not OnFailure.RETRY):
        raise Violation(f"{before.key}: opened again after {old.outcome.value}")
    story.failed += 1
    if new.failures != story.failed:
        raise Violation(f"{before.key}: {new.failures} failures are counted, there were {story.failed}")
    if old.outcome is Outcome.FAILED and new.until < claimed_at + rules.backoff[0]:
        raise Violation(f"{before.key}: opened again without a back-off")
    ledger.holders.pop(before.key, None)


def _ended(ledger: RunLedger, before: Record, after: Record | None, old: Run, now: Instant) -> None:
    added = None if after is None else difference(after.counters, before.counters)
    story = ledger.story_of(before)
    if old.is_open and added is not None and added.expected < 0:
        _put_back(before, after, story)
        return
    if story.used_up is not None:
        raise Violation(f"{before.key} at {old.due_at} ended twice")
    story.used_up = _how(ledger, before, old, story, now)
    _promised(ledger, before, story)
    ledger.holders.pop(before.key, None)
    if after is not None and after.due_at < before.due_at:
        _repeated(before, after, old, story, ledger.rules_of(before))
        return
    if added is not None and after is not None and after.due_at != before.due_at:
        ledger.took("", before, after, added.expected)


def _put_back(before: Record, after: Record | None, story: Story) -> None:
    assert after is not None
    assert before.run is not None
    if story.sent or after.due_at != before.run.due_at:
        raise Violation(f"{before.key} was put back after it was sent")


def _repeated(before: Record, after: Record, old: Run, story: Story, rules: Rules) -> None:
    """The old definition's run is over without success, and the new definition runs the occurrence."""
    if not old.replan or rules.at_most_once or old.outcome is Outcome.SUCCEEDED:
        raise Violation(f"{before.key} at {old.due_at} ended, and is due again")
    if after.due_at != old.due_at:
        raise Violation(f"{before.key} is due at {after.due_at}, again")
    story.used_up = None


def _how(ledger: RunLedger, before: Record, old: Run, story: Story, now: Instant) -> str:
    """How a run may end, told from the record alone; ``Violation`` if it may not."""
    rules = ledger.rules_of(before)
    gone = before.removed or old.generation != before.generation
    if old.outcome is not None:
        return _by_outcome(old.outcome, old, rules, gone, before)
    if old.is_running:
        return _lost(before, old, rules, gone)
    if gone:
        return "replaced"
    if not rules.gated and (said := ledger.backend.says(before.key, old)) is not None:
        return said
    if old.starts == 0 and old.deadline is not None and old.deadline <= now:
        return "deadline"
    if before.spec.args == ("unbuildable",):
        return "unbuildable"
    if story.fired in ledger.vetoes:
        return "vetoed"
    if rules.at_most_once and (old.attempt >= rules.start_attempts or old.starts) and old.until <= now:
        return "no outcome" if old.starts else "never started"
    if not rules.gated and old.dispatched_at is not None and now >= old.dispatched_at + rules.max_run:
        return "no outcome"
    raise Violation(f"{before.key} at {old.due_at} was ended while it was open, and nothing says so")


def _by_outcome(outcome: Outcome, old: Run, rules: Rules, gone: bool, before: Record) -> str:
    if outcome is Outcome.ABANDONED:
        return _lost(before, old, rules, gone)
    if outcome is Outcome.FAILED and rules.on_failure is OnFailure.RETRY and old.reason is None and not gone:
        return _gave_up(before, old, rules)
    return outcome.value


def _lost(before: Record, old: Run, rules: Rules, gone: bool) -> str:
    if gone:
        return "replaced"
    return "no outcome" if rules.at_most_once else _gave_up(before, old, rules)


def _gave_up(before: Record, old: Run, rules: Rules) -> str:
    if old.failures + 1 < rules.max_attempts:
        raise Violation(f"{before.key} was given up after {old.failures + 1} of {rules.max_attempts} failures")
    return "gave up"


def _promised(ledger: RunLedger, before: Record, story: Story) -> None:
    """What an end says of the user code: at least once it has ended, unless there is an excuse."""
    rules, how = ledger.rules_of(before), story.used_up
    assert how is not None
    if how == "gave up" and story.failed + 1 < rules.max_attempts:
        raise Violation(f"{before.key} was given up after {story.failed + 1} starts that failed")
    if how == "gave up" and rules.gated and sum(story.granted.values()) < rules.max_attempts:
        raise Violation(f"{before.key} was given up after {sum(story.granted.values())} starts")
    # A worker without the gate says nothing of a task that ignores, or asks for a retry that nobody waits for.
    silent = not rules.gated and any(code.how in ("ignored", "retried") for code in story.codes)
    lost = how in ("never started", "no outcome") and not silent
    if lost and not ledger.world.anybody_troubled(story.recorded_at):
        raise Violation(f"{before.key} at {story.fired[2]}: {how}, and nothing had gone wrong")
    if not rules.at_most_once and how not in EXCUSES and not story.ended:
        raise Violation(f"{before.key} at {story.fired[2]} was ended, {how}, and no code has ended")


def is_exhausted(after: Record) -> bool:
    """Whether ``max_runs`` has ended an entry."""
    return after.spec.max_runs is not None and after.due_at >= NEVER

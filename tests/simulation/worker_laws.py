"""What a worker may write into a record: START, RENEW and REPORT, each as its holder alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Outcome, Record, Run, Token
from tests.simulation.ledger import Violation
from tests.simulation.stories import Held, Story

if TYPE_CHECKING:
    from tests.simulation.run_ledger import RunLedger

#: What each outcome says of the user code.
_SAYS = {Outcome.SUCCEEDED: ("returned",), Outcome.FAILED: ("raised", "ignored")}


def check(
    ledger: RunLedger, owner: str, before: Record | None, after: Record | None, until: Instant | None, now: Instant
) -> None:
    """One write of a worker. ``until``: the end of the lease that the store gave. :raises Violation: if it may not."""
    if before is None or after is None or before.run is None or after.run is None:
        raise Violation(f"a worker made or ended {(before or after).key}")  # type: ignore[union-attr]
    if _bare(before) != _bare(after):
        raise Violation(f"a worker changed more of {after.key} than its run")
    old, new = before.run, after.run
    if new.is_running and old.token != new.token:
        _started(ledger, owner, before, after, until, now)
    elif not old.is_running:
        raise Violation(f"a worker wrote into {after.key}, whose run it did not hold")
    elif new.is_running:
        _renewed(ledger, before, new, until, now)
    elif new.outcome is not None:
        _reported(ledger, before, new)
    else:
        _opened(ledger, before, new)


def _bare(record: Record) -> Record:
    """Without what a worker writes."""
    assert record.run is not None
    run = Run(
        due_at=record.run.due_at,
        generation=record.run.generation,
        attempt=record.run.attempt,
        failures=record.run.failures,
        deadline=record.run.deadline,
        replan=record.run.replan,
    )
    return replace(record, run=run, lease=None, token=Token(0), version=0, write_id="")


def _started(ledger: RunLedger, owner: str, before: Record, after: Record, until: Instant | None, now: Instant) -> None:
    key, old, new = after.key, before.run, after.run
    assert old is not None
    assert new is not None
    assert new.token is not None
    story = ledger.story_of(before)
    if until is None:
        raise Violation(f"{key}: a START without a lease that the store gives")
    if new.token <= ledger.tokens.get(key, 0):
        raise Violation(f"{key}: token {new.token} is not above {ledger.tokens[key]}")
    held = ledger.holders.get(key)
    if held is not None and held.valid(now):
        raise Violation(f"{key} was started under the lease of another run")
    if ledger.is_retired(before):
        raise Violation(f"{key}: an old definition was started")
    if old.outcome is not None:
        raise Violation(f"{key} was started after its outcome was reported")
    if old.is_open and old.failures and old.dispatched_at is None and old.until > now:
        raise Violation(f"{key} was started {old.until - now} ms before its back-off was over")
    if old.is_open and old.starts == 0 and old.deadline is not None and old.deadline <= ledger.read_at[owner]:
        raise Violation(f"{key} was started after its deadline")
    if before.paused is not None and before.paused.until > now:
        raise Violation(f"{key} was started while paused")
    _count(ledger, before, story, new)
    ledger.tokens[key] = new.token
    ledger.holders[key] = Held(new.token, until, story, now, new.generation, ledger.rules_of(before).max_run)


def _count(ledger: RunLedger, before: Record, story: Story, new: Run) -> None:
    """How often an occurrence may be started: at most once in all, else as often as its policy allows."""
    rules = ledger.rules_of(before)
    story.granted[new.generation, new.retries] += 1
    most = (
        1 if rules.at_most_once else rules.max_attempts + story.retried
    )  # a retry may be lost: the next one stands in
    if story.granted[new.generation, new.retries] > most + story.requeued:
        raise Violation(f"{before.key}: more starts than {most}")


def _renewed(ledger: RunLedger, before: Record, new: Run, until: Instant | None, now: Instant) -> None:
    held = _held(ledger, before)
    if new != before.run:
        raise Violation(f"{before.key}: a RENEW changed the run")
    if until is None:
        raise Violation(f"{before.key}: a RENEW without a lease that the store gives")
    if held.max_run and now > held.started_at + held.max_run + ledger.slack:
        raise Violation(f"{before.key} was renewed beyond max_run")
    held.until = max(held.until, until)


def _reported(ledger: RunLedger, before: Record, new: Run) -> None:
    held = _held(ledger, before)
    code = held.code
    assert new.outcome is not None
    says = _SAYS.get(new.outcome)
    if says is not None and (code is None or code.how not in says):
        raise Violation(f"{before.key}: {new.outcome.value} was reported, and the code {code and code.how}")
    if new.outcome is Outcome.REVOKED:
        raise Violation(f"{before.key} was reported as revoked, and nobody has revoked it")
    if new.outcome is Outcome.ABANDONED and code is not None and code.how is None:
        raise Violation(f"{before.key}: abandoned was reported, and the code goes on")
    ledger.holders.pop(before.key)


def _opened(ledger: RunLedger, before: Record, new: Run) -> None:
    held = _held(ledger, before)
    if held.code is None or held.code.how not in ("retried", "requeued"):
        raise Violation(f"{before.key}: a retry was reported, and there was none")
    held.story.requeued += held.code.how == "requeued"
    held.story.retried += held.code.how == "retried"
    if new.retries != held.code.retries + (held.code.how == "retried"):
        raise Violation(f"{before.key}: {new.retries} retries were counted")
    ledger.holders.pop(before.key)


def _held(ledger: RunLedger, before: Record) -> Held:
    assert before.run is not None
    held = ledger.holders.get(before.key)
    if held is None or held.token != before.run.token:
        raise Violation(f"{before.key}: its holder is not known")
    return held

"""Rules of the protocol, each left out: what the simulation must find. Section 5 of the guarantees, for T0.

A mutant changes the code under test, never the harness. ``order`` False takes the ledger's watch over the order of the
steps away, so that a mutant is found by the harm that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from celery_pyncette.clock import new_id
from celery_pyncette.core import counting, edits
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Plan, Receipt, Sent, Settle
from celery_pyncette.core.policies import Delivery, Rules
from celery_pyncette.core.records import Counters, Record, Write
from celery_pyncette.core.taking import DueTimes
from celery_pyncette.engine import deciding, settling
from celery_pyncette.engine.dispatcher import Dispatcher
from celery_pyncette.stores.protocol import Applied, Change, ClaimRequest, Expected
from celery_pyncette.stores.writes import change_of
from tests.simulation.ledger import Violation
from tests.simulation.scenario import run
from tests.simulation.store_view import SharedStore, StoreView
from tests.simulation.world import Faults

_plan, _settle, _replaced = deciding.plan, settling.settle, edits.replaced
_cycle, _apply, _claim, _view_apply = Dispatcher.cycle, SharedStore.apply, SharedStore.claim, StoreView.apply
_ready_at, _add = Record.ready_at, counting.add


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is patched with what; what the first violation says; the first seed that finds it."""

    target: Any
    name: str
    instead: Any
    seen: str
    seed: int
    order: bool = True
    bustle: Faults | None = None

    def play(self, seed: int) -> str | None:
        """What is seen at this seed; None if nothing is."""
        with patch.object(self.target, self.name, self.instead):
            try:
                run(seed, order=self.order, bustle=self.bustle)
            except Violation as violation:
                return str(violation)
        return None


def under(**changes: Any) -> Callable[..., Plan]:
    """`plan` under other rules than the entry has."""

    def plan(record: Record, now: Instant, times: DueTimes, rules: Rules) -> Plan:
        return _plan(record, now, times, replace(rules, **changes))

    return plan


def plan_with_its_own_clock(self: Dispatcher, lane: Any) -> Any:
    self._writing.now = max(self._writing.now, self._clock.now())
    return _cycle(self, lane)


def advance_by_version(store: Any, held: Sequence[tuple[Record, Any]]) -> Any:
    writes = [(record, decide(record, Instant(0))) for record, decide in held]
    return store.apply([change_of(record.key, record, write) for record, write in writes]).written


def fate(of: Sent, counts_as: Sent, settle: Settle) -> Callable[..., Write | None]:
    """A publish of one fate counts as another."""

    def settled(plan: Plan, stored: Record, receipt: Receipt, *rest: Any) -> Write | None:
        if receipt.sent is of and plan.settle is settle:
            receipt = replace(receipt, sent=counts_as)
        return _settle(plan, stored, receipt, *rest)

    return settled


def without_compare(self: SharedStore, owner: str, changes: Sequence[Change], seen: Instant) -> Applied:
    return _apply(self, owner, [_expecting(self, change, False) for change in changes], seen)


def without_generation(self: SharedStore, owner: str, changes: Sequence[Change], seen: Instant) -> Applied:
    return _apply(self, owner, [_expecting(self, change, True) for change in changes], seen)


def _expecting(shared: SharedStore, change: Change, version_too: bool) -> Change:
    stored = shared.ledger.current.get(change.key)
    if stored is None or change.expect is None or (version_too and stored.version != change.expect.version):
        return change
    return replace(change, expect=Expected(stored.generation, stored.version))


def another_write_id(self: StoreView, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
    def apply() -> Applied:
        fresh = [replace(change, write_id=new_id()) for change in changes]
        return self._shared.apply(self._owner, fresh, seen)

    return self._call(apply, changes)


def claim_without_lease(self: SharedStore, request: ClaimRequest) -> Any:
    return _claim(self, replace(request, lease_ms=0))


def ready_by_due_time(self: Record) -> Instant:
    resting = self.run is None and not self.removed and self.paused is None and self.dead is None
    return self.due_at if resting else _ready_at.__get__(self)


def replace_and_forget(record: Record, definition: Any, now: Instant, times: DueTimes, *rest: Any) -> Record | None:
    after = _replaced(record, definition, now, times, *rest)
    return None if after is None or record.removed else replace(after, due_at=times.next_after(now))


def keep_the_tombstones_due(record: Record, *rest: Any) -> Record | None:
    after = _replaced(record, *rest)
    return replace(after, due_at=record.due_at) if after is not None and record.removed else after


def add_no_skips(counters: Counters, expected: int = 0, started: int = 0, skipped: int = 0) -> Counters:
    return _add(counters, expected, started)


def advance_whatever_is_stored(plan: Plan, stored: Record, *rest: Any) -> Write | None:
    if plan.settle is Settle.ADVANCE:
        stored = replace(stored, lease=plan.record.lease)
    return _settle(plan, stored, *rest)


AT_LEAST = under(delivery=Delivery.AT_LEAST_ONCE)
AT_MOST = under(delivery=Delivery.AT_MOST_ONCE)

MUTANTS: dict[str, Mutant] = {
    "publish before use-up for at most once": Mutant(deciding, "plan", AT_LEAST, "sent twice", 23, order=False),
    "advance before publish for at least once": Mutant(deciding, "plan", AT_MOST, "never sent", 1, order=False),
    "a beat's own clock decides": Mutant(Dispatcher, "cycle", plan_with_its_own_clock, "before it was due", 0),
    "a claim without a lease": Mutant(SharedStore, "claim", claim_without_lease, "nothing had gone wrong", 0),
    "advance by version, not by claim token": Mutant(
        settling,
        "write_as_holder",
        advance_by_version,
        "sent again, and nothing had gone wrong",
        129,
        bustle=Faults(),
    ),
    "an unsure publish at most once counts as not sent": Mutant(
        settling, "settle", fate(Sent.UNSURE, Sent.FAILED, Settle.ADVANCED), "put back after it was sent", 7
    ),
    "an unsure publish at least once counts as sent": Mutant(
        settling, "settle", fate(Sent.UNSURE, Sent.SENT, Settle.ADVANCE), "never sent", 19
    ),
    "a failed publish at least once counts as sent": Mutant(
        settling, "settle", fate(Sent.FAILED, Sent.SENT, Settle.ADVANCE), "never sent", 0
    ),
    "a veto at least once is tried again": Mutant(
        settling, "settle", fate(Sent.VETOED, Sent.FAILED, Settle.ADVANCE), "sent after a veto", 11
    ),
    "a veto at most once counts as sent": Mutant(
        settling, "settle", fate(Sent.VETOED, Sent.SENT, Settle.ADVANCED), "used up and not sent", 7
    ),
    "writes without compare": Mutant(SharedStore, "apply", without_compare, "put back after it was sent", 0),
    "the generation is not compared": Mutant(
        SharedStore, "apply", without_generation, "is never due", 554, bustle=Faults(stall=0.05)
    ),
    "a lost answer is asked again under another id": Mutant(
        StoreView, "apply", another_write_id, "used up and not sent, and nothing had gone wrong", 36
    ),
    "ready_at: the due time before the lease": Mutant(
        Record, "ready_at", property(ready_by_due_time), "under the lease of", 8, bustle=Faults(stall=0.05)
    ),
    "a grace below claim time + poll with NONE": Mutant(
        deciding, "plan", under(grace=2_000), "skipped what was within its grace", 0
    ),
    "replace moves what is due already": Mutant(edits, "replaced", replace_and_forget, "an edit lost what was due", 3),
    "create on a tombstone keeps its due time": Mutant(edits, "replaced", keep_the_tombstones_due, "is never due", 4),
    "what is skipped is not counted": Mutant(counting, "add", add_no_skips, "does not add up", 0),
    "advance after the lease was given back": Mutant(
        settling, "settle", advance_whatever_is_stored, "used up, and never sent", 115
    ),
}

__all__ = ["MUTANTS", "Mutant"]

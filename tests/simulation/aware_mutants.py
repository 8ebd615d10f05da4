"""Rules of the protocol about runs, each left out: what the simulation must find. Section 5 of the guarantees, for T1.

A mutant changes the code under test, never the harness, but for the store's compare, which is the store's promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from celery_pyncette.clock import new_id
from celery_pyncette.core import attempts, edits, ending, lifecycle, starts
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import CatchUp, OnFailure, Overlap, Rules
from celery_pyncette.core.policies import Delivery as Policy
from celery_pyncette.core.records import Lease, Record, Run, Write
from celery_pyncette.core.starts import Delivery, Refusal
from celery_pyncette.engine import tickets
from celery_pyncette.stores.protocol import Applied, Change, Expected, Verdict
from celery_pyncette.worker import gate
from tests.simulation import aware_actors
from tests.simulation.aware_scenario import Setting, run
from tests.simulation.failover import a_start_is_lost
from tests.simulation.ledger import Violation
from tests.simulation.store_view import SharedStore, StoreView
from tests.simulation.user_code import Habit
from tests.simulation.world import Faults

_start, _refusal, _renewal, _apply = starts.start, starts._refusal, starts._renewal, SharedStore.apply
_delivery_of, _expiry, _ready_at, _at_work = (
    gate.delivery_of,
    attempts.message_expiry,
    Record.ready_at,
    lifecycle.at_work,
)
_unstarted, _send, _replaced, _view_apply = lifecycle._unstarted, lifecycle._send, edits.replaced, StoreView.apply

Change_ = Callable[[Setting], Setting]


@dataclass(frozen=True, slots=True)
class AwareMutant:
    """What is patched with what; what is said of it (one of these); how it is played, where from, or a case by hand."""

    target: Any
    name: str
    instead: Any
    seen: tuple[str, ...]
    change: Change_ = lambda setting: setting
    near: int = 0
    case: Callable[[int], object] | None = None

    def play(self, seed: int) -> str | None:
        """What is seen at this seed; None if nothing is."""
        with patch.object(self.target, self.name, self.instead):
            try:
                self.rightly(seed)
            except Violation as violation:
                return str(violation)
        return None

    def rightly(self, seed: int) -> object:
        """The same with nothing left out. :raises Violation: never."""
        return run(seed, self.change) if self.case is None else self.case(seed)

    def finds(self, said: str | None) -> bool:
        """Whether it is what is meant."""
        return said is not None and any(word in said for word in self.seen)


def under(*, faults: Faults | None = None, **changes: Any) -> Change_:
    """The same setting with other rules for all entries, and other faults."""

    def change(setting: Setting) -> Setting:
        entries = [
            replace(entry, rules=replace(entry.rules, **{"gated": True, **changes})) for entry in setting.entries
        ]
        return replace(setting, entries=entries, faults=setting.faults if faults is None else faults, gated=True)

    return change


def gated(setting: Setting) -> Setting:
    """As it is, with gated workers."""
    return under(gated=True)(setting)


# --- the gate ---


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


def a_nonce_of_its_own(ticket: Any, request: Any, nonce: str | None = None) -> Delivery:
    return replace(_delivery_of(ticket, request, nonce), nonce=new_id())


def lease_by_own_clock(record: Record, run: Run, lease_ms: int) -> Write:
    until = Instant((run.started_at or 0) + lease_ms)
    return Write(record=replace(record, run=run, lease=Lease(owner=run.worker or "", until=until)))


# --- writes without compare ---


def without_compare(of: Callable[[str, Record, Record | None], bool]) -> Callable[..., Applied]:
    """Some writes go through whatever is stored."""

    def apply(self: SharedStore, owner: str, changes: Sequence[Change], seen: Instant) -> Applied:
        return _apply(self, owner, [_free(self, owner, change, of) for change in changes], seen)

    return apply


def _free(shared: SharedStore, owner: str, change: Change, of: Callable[[str, Record, Record | None], bool]) -> Change:
    stored = shared.ledger.current.get(change.key)
    if stored is None or change.expect is None or stored.lane != 0 or not of(owner, stored, change.record):
        return change
    return replace(change, expect=Expected(stored.generation, stored.version))


def a_report(owner: str, stored: Record, after: Record | None) -> bool:
    return owner.startswith("worker") and after is not None and after.run is not None and after.run.outcome is not None


def a_renewal(owner: str, stored: Record, after: Record | None) -> bool:
    running = after is not None and after.run is not None and after.run.is_running
    return owner.startswith("worker") and running and stored.run is not None and stored.version > 3


def a_record(owner: str, stored: Record, after: Record | None) -> bool:
    run = None if after is None else after.run
    return owner.startswith("beat") and run is not None and run.is_open and run.dispatched_at is None


def a_mark(owner: str, stored: Record, after: Record | None) -> bool:
    run = None if after is None else after.run
    return owner.startswith("beat") and run is not None and run.is_open and run.dispatched_at is not None


def a_final(owner: str, stored: Record, after: Record | None) -> bool:
    return owner.startswith("beat") and stored.run is not None and (after is None or after.run is None)


# --- what beats decide ---


def expires_at_the_deadline(run: Run, now: Instant, rules: Rules) -> int | None:
    return None if run.deadline is None or run.starts else run.deadline - now


def expires_on_retries_too(run: Run, now: Instant, rules: Rules) -> int | None:
    return None if run.deadline is None else run.deadline - now


def expires_with_the_attempt(run: Run, now: Instant, rules: Rules) -> int | None:
    return rules.start_within


def running_before_reported(self: Record) -> Instant:
    if self.lease is None and self.run is not None and self.run.started_at is not None:
        return NEVER
    return _ready_at.__get__(self)


def ready_while_paused(self: Record) -> Instant:
    return _ready_at.__get__(replace(self, paused=None))


def started_for_ever(run: Run, now: Instant, rules: Rules) -> Run:
    return _at_work(run, now, replace(rules, max_run=10**12))


def dispatches_count(record: Record, run: Run, now: Instant, rules: Rules) -> Any:
    if run.dispatched_at is not None and not rules.at_most_once:
        if run.failures + 1 >= rules.max_attempts:
            return ending.use_up(record, run, ending.Outcome.ABANDONED, now, rules, reason="gave up", given_up=True)
        run = replace(run, failures=run.failures + 1)
    return _unstarted(record, run, now, rules)


def no_cascade(*_: Any) -> None:
    pass


LEAST = under(delivery=Policy.AT_LEAST_ONCE)
MOST = under(delivery=Policy.AT_MOST_ONCE, on_failure=OnFailure.ACCEPT)
BUSY = Faults(redelivered=0.3, answer_lost=0.05, freeze=0.03)


def mutant(target: Any, name: str, instead: Any, *seen: str, change: Change_ = gated, near: int = 0) -> AwareMutant:
    return AwareMutant(target, name, instead, seen, change, near)


def start_whatever(record: Record | None, delivery: Delivery, now: Instant) -> Any:
    """No gate: whatever is delivered runs."""
    if record is None or record.run is None or record.run.outcome is not None:
        return _start(record, delivery, now)
    return starts._granted(record, record.run, delivery, now)


def recorded_as_sent(record: Record, run: Run, taken: Any) -> Any:
    planned = _send(record, run, taken)
    marked = attempts.marked(run, run.until, Rules(aware=True, start_within=12_000))
    return replace(planned, first=Write(record=replace(record, run=marked)), settle=None)


def parent_first(self: StoreView, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
    applied = _view_apply(self, [replace(change, creates=()) for change in changes], seen)
    children = [
        Change(key=child.key, expect=None, record=child, write_id=new_id())
        for change, answer in zip(changes, applied.written, strict=True)
        if answer.verdict is Verdict.APPLIED
        for child in change.creates
    ]
    if children:
        _view_apply(self, children, seen)
    return applied


def replaced_without_its_run(record: Record, *rest: Any, **more: Any) -> Record | None:
    after = _replaced(record, *rest, **more)
    return None if after is None else replace(after, run=None)


def replaced_with_its_open_run(record: Record, *rest: Any, **more: Any) -> Record | None:
    after = _replaced(record, *rest, **more)
    return after if after is None or record.run is None else replace(after, run=record.run, counters=record.counters)


def ordinary(**changes: Any) -> Change_:
    """With ordinary workers."""
    return lambda setting: replace(under(**changes)(setting), gated=False)


def crowded(setting: Setting) -> Setting:
    """A queue that is always longer than any wait, and nothing else that goes wrong."""
    latest = under(delivery=Policy.AT_LEAST_ONCE, catch_up=CatchUp.LATEST, grace=None, expires=None, faults=Faults())
    habits = {entry.name: Habit() for entry in setting.entries}
    return replace(latest(setting), habits=habits, lag=45_000, steady=True, edits_every=0)


def edited(setting: Setting) -> Setting:
    """Somebody edits all the time, and beats stall."""
    return replace(under(faults=Faults(stall=0.1))(setting), edits_every=40, steps=800)


def calm(change: Change_, **faults: float) -> Change_:
    """Without faults but these, edits, or tasks that take long."""

    def changed(setting: Setting) -> Setting:
        habits = {name: replace(habit, long=0.0) for name, habit in setting.habits.items()}
        return replace(change(setting), habits=habits, faults=Faults(**faults), lag=0, edits_every=0)

    return changed


def start_in_any_epoch(record: Record | None, delivery: Delivery, now: Instant) -> Any:
    epoch = 0 if record is None else record.epoch
    return _start(record, replace(delivery, ticket=replace(delivery.ticket, epoch=epoch)), now)


AWARE_MUTANTS: dict[str, AwareMutant] = {
    "START does not use up at most once": mutant(
        starts, "_refusal", start_again, "more starts than", "under the lease of another", "started twice at most once"
    ),
    "no gate": mutant(
        starts, "start", start_whatever, "more starts than", "under the lease of another", "started twice"
    ),
    "the gate compares the claim's token": mutant(
        starts, "_refusal", start_last_attempt, "not settled", "has not moved", change=crowded
    ),
    "a message expires with its attempt": mutant(
        tickets, "message_expiry", expires_with_the_attempt, "thrown away", change=crowded
    ),
    "a message that follows a retry expires, too": mutant(
        tickets, "message_expiry", expires_on_retries_too, "thrown away"
    ),
    "START looks at a beat's claim": mutant(
        starts, "_refusal", start_after_mark, "never started, and nothing had gone wrong", change=calm(MOST)
    ),
    "START waits for the REPORT of its predecessor": mutant(
        starts, "_refusal", start_after_report, "no outcome, and nothing had gone wrong", change=calm(MOST)
    ),
    "no MARK": mutant(lifecycle, "_send", recorded_as_sent, "is said to be sent", change=LEAST),
    "one-shot and advance as two changes": mutant(
        StoreView,
        "apply",
        parent_first,
        "without a run",
        "records are made",
        change=under(overlap=Overlap.ALLOW),
    ),
    "replace forgets the running run": mutant(edits, "replaced", replaced_without_its_run, "an edit forgot"),
    "unschedule forgets the running run": mutant(
        edits, "unscheduled", lambda record, generation: Write(record=None), "an edit forgot"
    ),
    "replace keeps the open run of the old definition": mutant(
        edits, "replaced", replaced_with_its_open_run, "kept the open run"
    ),
    "STARTED in the backend keeps the run for ever": mutant(
        lifecycle, "at_work", started_for_ever, "not settled", change=ordinary(gated=False, faults=Faults(die=0.02))
    ),
    "an ordinary worker, and start_attempts above 1": mutant(
        attempts,
        "SKEW",
        5_000,
        "started twice at most once",
        change=ordinary(
            gated=True,
            delivery=Policy.AT_MOST_ONCE,
            on_failure=OnFailure.ACCEPT,
            start_attempts=3,
            faults=Faults(message_late=0.5),
        ),
    ),
    "at most once a lost retry is begun anew": mutant(
        lifecycle,
        "is_last",
        lambda run, rules: rules.at_most_once and run.attempt >= rules.start_attempts,
        "more starts than 1",
        change=under(delivery=Policy.AT_MOST_ONCE, on_failure=OnFailure.ACCEPT, start_attempts=3),
    ),
    "a worker's own clock for its lease": mutant(
        starts, "_renewal", lease_by_own_clock, "a lease that the store gives"
    ),
    "REPORT without compare": mutant(
        SharedStore,
        "apply",
        without_compare(a_report),
        "changed more of",
        "did not hold",
        "holder is not known",
        "made or ended",
    ),
    "RENEW without compare": mutant(
        SharedStore,
        "apply",
        without_compare(a_renewal),
        "changed more of",
        "did not hold",
        "RENEW changed",
        "made or ended",
        "after its outcome",
    ),
    "RECORD without compare": mutant(
        SharedStore,
        "apply",
        without_compare(a_record),
        "under its lease",
        "was recorded",
        "accounted for",
        "taken up",
        "sent again",
        "opened again",
        "add up",
        "ended twice",
        "is due again",
        "sent twice",
        near=105,
    ),
    "MARK without compare": mutant(SharedStore, "apply", without_compare(a_mark), "under its lease", "opened again"),
    "finalise without compare": mutant(
        SharedStore,
        "apply",
        without_compare(a_final),
        "under its lease",
        "ended twice",
        "nothing says so",
        "accounted for",
        "is due again",
        "without a run",
        "took up nothing",
        change=edited,
        near=25,
    ),
    "the generation is not compared at the gate": mutant(starts, "start", start_any_generation, "old definition"),
    "no nonce": mutant(gate, "delivery_of", a_nonce_of_its_own, "ended, and nothing had gone wrong"),
    "a message expires at the deadline, without margin": mutant(
        tickets, "message_expiry", expires_at_the_deadline, "thrown away"
    ),
    "ready_at: running before reported": mutant(
        Record, "ready_at", property(running_before_reported), "not settled", "has not moved"
    ),
    "START on an expired run that no beat has decided on": mutant(
        starts,
        "_refusal",
        start_once_expired,
        "more starts than",
        change=under(
            gated=True,
            delivery=Policy.AT_MOST_ONCE,
            on_failure=OnFailure.ACCEPT,
            faults=Faults(stall=0.05, freeze=0.06, redelivered=0.6),
        ),
        near=105,
    ),
    "max_attempts counts dispatches": mutant(
        lifecycle, "_unstarted", dispatches_count, "nothing says so", "given up", change=LEAST
    ),
    "START does not compare the number of Celery retries": mutant(
        starts,
        "_refusal",
        start_any_retry,
        "more starts than",
        "retries were counted",
        "under the lease",
        "started twice",
    ),
    "a copy of an ended attempt may START": mutant(
        starts,
        "_refusal",
        start_any_attempt,
        "before its back-off",
        change=under(delivery=Policy.AT_LEAST_ONCE, on_failure=OnFailure.RETRY, faults=BUSY),
    ),
    "no cascade to one-shots": mutant(
        aware_actors, "cascade", no_cascade, "an old definition", change=under(overlap=Overlap.ALLOW)
    ),
    "a paused record is ready for its open run": mutant(
        Record, "ready_at", property(ready_while_paused), "while it is paused"
    ),
    "no epoch in a store that loses writes": AwareMutant(
        starts, "start", start_in_any_epoch, ("more starts than 1",), case=a_start_is_lost
    ),
}

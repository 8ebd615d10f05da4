"""Rules of the protocol about runs, each left out: what the simulation must find. Section 5 of the guarantees, for T1.

A mutant changes the code under test, never the harness, but for the store's compare, which is the store's promise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from celery_pyncette import parked as parked_messages
from celery_pyncette.core import attempts, edits, lifecycle, starts
from celery_pyncette.core.policies import Delivery as Policy
from celery_pyncette.core.policies import OnFailure, Overlap
from celery_pyncette.core.records import Record, Write
from celery_pyncette.delay import capture
from celery_pyncette.engine import tickets
from celery_pyncette.worker import gate
from tests.simulation import aware_actors
from tests.simulation.aware_scenario import run
from tests.simulation.changed_settings import (
    BUSY,
    LEAST,
    MOST,
    Change_,
    calm,
    crowded,
    edited,
    gated,
    ordinary,
    parked,
    under,
)
from tests.simulation.decision_mutants import (
    dispatches_count,
    expires_at_the_deadline,
    expires_on_retries_too,
    expires_with_the_attempt,
    no_cascade,
    ready_while_paused,
    recorded_as_sent,
    replaced_with_its_open_run,
    replaced_without_its_run,
    running_before_reported,
    started_for_ever,
)
from tests.simulation.failover import a_start_is_lost
from tests.simulation.gate_mutants import (
    a_nonce_of_its_own,
    lease_by_own_clock,
    start_after_mark,
    start_after_report,
    start_again,
    start_any_attempt,
    start_any_generation,
    start_any_retry,
    start_in_any_epoch,
    start_last_attempt,
    start_once_expired,
    start_whatever,
)
from tests.simulation.ledger import Violation
from tests.simulation.parked_mutants import (
    moving_whatever_it_does,
    under_the_old_token,
    with_its_open_run,
    without_its_run,
)
from tests.simulation.store_view import SharedStore, StoreView
from tests.simulation.world import Faults
from tests.simulation.write_mutants import a_final, a_mark, a_record, a_renewal, a_report, parent_first, without_compare


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


def mutant(target: Any, name: str, instead: Any, *seen: str, change: Change_ = gated, near: int = 0) -> AwareMutant:
    return AwareMutant(target, name, instead, seen, change, near)


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
        near=60,
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
    "parking again forgets the running run": mutant(
        capture, "in_place_of", without_its_run, "an edit forgot", change=parked
    ),
    "parking again keeps the open run": mutant(
        capture, "in_place_of", with_its_open_run, "run or lease of the one before", change=parked
    ),
    "parking again keeps the token": mutant(
        capture, "in_place_of", under_the_old_token, "its token has not grown", change=parked
    ),
    "cancelling forgets the running run": mutant(
        parked_messages, "unscheduled", lambda record, generation: Write(record=None), "an edit forgot", change=parked
    ),
    "a message is moved whoever has it": mutant(
        aware_actors, "moving", moving_whatever_it_does, "was moved", change=parked
    ),
    "no epoch in a store that loses writes": AwareMutant(
        starts, "start", start_in_any_epoch, ("more starts than 1",), case=a_start_is_lost
    ),
}

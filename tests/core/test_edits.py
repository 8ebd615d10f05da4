"""What edits make of a record: one case for each row of the guarantees' table 3.6."""

from __future__ import annotations

from dataclasses import replace
from datetime import timezone
from typing import Any

import pytest

from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.edits import Definition, create, paused, replaced, resumed, run_now, unscheduled
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import CatchUp, Delivery, Rules
from celery_pyncette.core.records import (
    NOBODY,
    Counters,
    EntrySpec,
    Key,
    Lease,
    Origin,
    Outcome,
    Pause,
    Record,
    Run,
    Skip,
)
from celery_pyncette.core.schedules import Every, Once, Schedule
from celery_pyncette.core.taking import DueTimes, take

NOW = Instant(1_000_000_000)
MINUTE = 60_000
LEAST, MOST = Rules(aware=True), Rules(aware=True, delivery=Delivery.AT_MOST_ONCE)
GATED = replace(MOST, start_attempts=3)


def definition(schedule: Schedule | None = None, payload: str = "p", **fields: Any) -> Definition:
    schedule = schedule or Every(60)
    spec = EntrySpec(name="e", task="t", origin=Origin.DYNAMIC, schedule=schedule, args=(payload,), **fields)
    generation = f"{schedule} {payload} {sorted(fields)}"
    return Definition(
        key=Key("d:e"), spec=spec, timing=str(schedule), payload=payload + str(fields), generation=generation
    )


def times(of: Definition, anchor: Instant = NOW) -> DueTimes:
    assert of.spec.schedule is not None
    return times_of(of.spec, of.spec.schedule, timezone.utc, anchor)


def record(due_in: int = 5_000, of: Definition | None = None, **fields: Any) -> Record:
    of = of or definition()
    made = create(of, Instant(NOW - 55_000), times(of, Instant(NOW - 55_000)), due_at=Instant(NOW + due_in))
    return replace(made, version=4, **fields)


def edit(of: Record, new: Definition, rules: Rules = LEAST) -> Record:
    after = replaced(of, new, NOW, times(new, of.anchor), rules)
    assert after is not None
    return after


def run(of: Record, **fields: Any) -> Run:
    return Run(due_at=Instant(NOW - 1_000), generation=of.generation, **fields)


OTHER, FASTER = definition(payload="other"), definition(Every(7))
STARTED: dict[str, Any] = {"starts": 1, "started_at": NOW, "worker": "w"}


def test_an_identical_definition_changes_nothing() -> None:
    of = record()
    assert replaced(of, replace(definition(), generation="new"), NOW, times(definition()), LEAST) is None


@pytest.mark.parametrize(
    ("due_in", "new", "due_at"),
    [
        (5_000, OTHER, NOW + 5_000),
        (5_000, FASTER, NOW + 1_000),
        (0, FASTER, NOW),
        (-9_000, FASTER, NOW - 9_000),
        (5_000, definition(enabled=False), NEVER),
    ],
    ids=["same schedule", "another schedule", "due now", "due already", "disabled"],
)
def test_replace_with_no_run(due_in: int, new: Definition, due_at: int) -> None:
    of = record(due_in, counters=Counters(3, 2, 1), paused=Pause(note="n"), lease=Lease(owner="b", until=NOW))
    after = edit(of, new)
    assert after.due_at == due_at
    assert (after.generation, after.timing, after.spec) == (new.generation, new.timing, new.spec)
    kept = ("counters", "anchor", "paused", "lease", "recent", "created_at", "version", "token")
    assert all(getattr(after, name) == getattr(of, name) for name in kept)


def test_an_entry_that_is_enabled_again_is_next_due_after_now() -> None:
    of = edit(record(), definition(enabled=False))
    assert edit(of, definition()).due_at == NOW + 5_000


@pytest.mark.parametrize(
    ("new", "rules", "starts", "counters", "due_in"),
    [
        (OTHER, LEAST, 0, Counters(0, 0, 0), -1_000),
        (OTHER, GATED, 0, Counters(0, 0, 0), -1_000),
        (OTHER, MOST, 0, Counters(1, 0, 1), 5_000),
        (OTHER, LEAST, 1, Counters(1, 1, 0), -1_000),
        (OTHER, GATED, 1, Counters(1, 1, 0), 5_000),
        (FASTER, LEAST, 0, Counters(1, 0, 1), 1_000),
        (FASTER, LEAST, 1, Counters(1, 1, 0), 1_000),
        (definition(enabled=False), LEAST, 0, Counters(1, 0, 1), NEVER - NOW),
    ],
)
def test_replace_drops_an_open_run(new: Definition, rules: Rules, starts: int, counters: Counters, due_in: int) -> None:
    of = record(counters=Counters(1, 0, 0))
    after = edit(replace(of, run=run(of, starts=starts)), new, rules)
    assert (after.run, after.counters, after.due_at) == (None, counters, NOW + due_in)


@pytest.mark.parametrize("outcome", [None, Outcome.FAILED])
@pytest.mark.parametrize(("new", "replan"), [(OTHER, True), (FASTER, False), (definition(enabled=False), False)])
def test_replace_leaves_a_running_or_reported_run_under_its_old_generation(
    outcome: Outcome | None, new: Definition, replan: bool
) -> None:
    of = record(lease=Lease(owner="w", until=NOW))
    running = run(of, outcome=outcome, **STARTED)
    after = edit(replace(of, run=running), new)
    assert after.run == replace(running, replan=replan)
    assert after.lease == of.lease


@pytest.mark.parametrize("started", [False, True])
def test_unschedule(started: bool) -> None:
    of = record()
    assert unscheduled(of, "h").record is None
    assert unscheduled(replace(of, run=run(of)), "h").record is None
    left = unscheduled(replace(of, run=run(of, **STARTED), lease=Lease(owner="w", until=NOW)), "h").record
    assert left is not None
    assert (left.removed, left.due_at, left.generation, left.lease) == (True, NEVER, "h", Lease(owner="w", until=NOW))


@pytest.mark.parametrize("gone", [{"removed": True}, {"dead": Instant(NOW + 9)}], ids=["tombstone", "dead letter"])
def test_create_on_a_tombstone_or_dead_letter_is_due_after_now(gone: dict[str, Any]) -> None:
    of = replace(record(), due_at=NEVER, counters=Counters(1, 1, 0), **gone)
    after = edit(of, definition())
    assert (after.due_at, after.removed, after.dead, after.counters) == (NOW + 5_000, False, None, Counters())


def test_create_on_a_tombstone_ends_the_old_open_run_for_good() -> None:
    of = replace(record(), due_at=NEVER, removed=True, counters=Counters(1, 0, 0))
    after = edit(replace(of, run=run(of)), definition())
    assert (after.run, after.due_at) == (None, NOW + 5_000)


def test_a_tombstones_wait_is_not_its_successors() -> None:
    """A one-off that is done is kept for a minute under a lease of nobody; one of its name must not wait for it."""
    soon = definition(Once(Instant(NOW + 2_000)))
    of = replace(record(of=soon), due_at=NEVER, removed=True, lease=Lease(owner=NOBODY, until=Instant(NOW + MINUTE)))
    after = edit(of, soon)
    assert (after.due_at, after.lease, after.ready_at) == (NOW + 2_000, None, NOW + 2_000)


def test_a_single_time_that_has_passed_is_overdue_not_impossible() -> None:
    late = definition(Once(Instant(NOW - 2_000)))
    assert create(late, NOW, times(late)).due_at == NOW - 2_000
    assert edit(record(), late).due_at == NOW - 2_000


def test_pause_is_a_flag_and_leaves_run_and_lease_alone() -> None:
    of = record(lease=Lease(owner="w", until=NOW))
    of = replace(of, run=run(of, **STARTED))
    assert paused(of, Pause(note="n")) == replace(of, paused=Pause(note="n"))


def test_resume_without_anything_missed_is_over_at_once() -> None:
    of = record(paused=Pause(catch_up="all"))
    after = resumed(of, NOW)
    assert after is not None
    assert after.paused is None
    assert resumed(after, NOW) is None


@pytest.mark.parametrize(
    ("on_pause", "on_resume", "policy", "fires", "left_out"),
    [
        (None, None, CatchUp.LATEST, [0], 5),
        (None, None, CatchUp.ALL, [-300, -240, -180, -120, -60, 0], 0),
        ("all", None, CatchUp.LATEST, [-300, -240, -180, -120, -60, 0], 0),
        ("all", "none", CatchUp.LATEST, [], 5),
        (None, "none", CatchUp.ALL, [], 5),
        ("none", "latest", CatchUp.ALL, [0], 5),
    ],
)
def test_what_was_missed_in_a_pause(
    on_pause: str | None, on_resume: str | None, policy: CatchUp, fires: list[int], left_out: int
) -> None:
    """Due each minute since five minutes ago; resumed half a second after the last one, handled at once."""
    from celery_pyncette.core.lifecycle import plan

    awake = Instant(NOW + 500)
    of = record(-5 * MINUTE, anchor=Instant(NOW - 30 * MINUTE), paused=Pause(catch_up=on_pause))
    after = resumed(of, awake, on_resume)
    assert after is not None
    rules, fired, skipped = Rules(catch_up=policy, delivery=Delivery.AT_MOST_ONCE), list[int](), 0
    while after.due_at <= awake:
        done = plan(after, awake, times(definition(), after.anchor), rules)
        assert done.first is not None
        assert done.first.record is not None
        if done.send is not None:
            fired.append((done.send.due_at - NOW) // 1000)
        if done.skips is not None:
            assert done.skips.reason is Skip.PAUSED
            skipped += done.skips.count
        after = done.first.record
    left_out += fires == []
    assert (fired, skipped, after.paused) == (fires, left_out, None)


def test_run_now_makes_a_child_of_its_own_in_a_change_of_the_parent() -> None:
    of = record(paused=Pause(), counters=Counters(3, 2, 1))
    write = run_now(of, NOW)
    [child] = write.creates
    assert write.record == of
    assert (child.due_at, child.generation, child.paused, child.counters) == (NOW, of.generation, None, Counters())
    assert child.key.startswith(f"o:{of.key}@")
    assert child.ready_at == NOW


def test_grace_skips_what_is_older_and_fires_what_is_not() -> None:
    every = times(definition(), Instant(NOW - 30 * MINUTE))
    first = Instant(NOW - 5 * MINUTE)
    rules = Rules(catch_up=CatchUp.NONE, grace=2 * MINUTE)
    taken = take(first, NOW, every, rules)
    assert (taken.fire, taken.next_due) == (NOW - 2 * MINUTE, NOW - MINUTE)
    assert taken.skips is not None
    assert (taken.skips.count, taken.skips.reason, taken.expected) == (3, Skip.POLICY, 4)

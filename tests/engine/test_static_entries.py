"""Static entries among beats with the same, another, or no definition of them."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from celery_pyncette.core import edits
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Counters, Key, Lease, Outcome, Pause, Record, Run
from celery_pyncette.engine.deciding import STEP_ASIDE
from celery_pyncette.engine.keeping import KEEP_EVERY, KEEP_FOR
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.engine.stale import StaleEntries
from celery_pyncette.events import Observers, Reconciled
from tests.engine.desk import MINUTE, Desk, static
from tests.simulation.book import Book, Entry

REPORT = Key("s:report")


def reconcile(desk: Desk, seeds: dict[str, Instant] | None = None) -> Reconciled:
    return Reconciler(desk.store, desk.book, Observers([desk.events])).run(seeds)


def start(desk: Desk) -> Reconciled:
    """As a beat starts: it says what it defines, then writes it."""
    desk.neighbours.keep()
    return reconcile(desk)


def a_desk(*entries: Entry) -> Desk:
    return Desk(Book(entries))


def test_entries_are_created_once(desk: Desk) -> None:
    desk = a_desk(static("a"), static("b"))
    first, again = start(desk), reconcile(desk)
    assert (first.created, first.unchanged, again.created, again.unchanged, again.changed) == (2, 0, 0, 2, 0)


def test_first_sight_fires_nothing_at_once() -> None:
    desk = a_desk(static("report"))
    start(desk)
    assert desk.record(REPORT).due_at == desk.now + MINUTE
    assert desk.cycle().sent == 0


def test_ten_beats_that_start_at_once_make_one_of_each() -> None:
    first = a_desk(*(static(f"e{n}") for n in range(30)))
    desks = [first, *(first.beside(Book([static(f"e{n}") for n in range(30)]), f"beat-{n}") for n in range(2, 11))]
    barrier, done = threading.Barrier(10), list[Reconciled]()

    def run(desk: Desk) -> None:
        barrier.wait(10)
        done.append(start(desk))

    threads = [threading.Thread(target=run, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 10
    assert sum(one.created for one in done) == 30
    assert sum(one.unchanged for one in done) == 270
    assert len(first.all("s:")) == 30


def test_another_payload_keeps_due_time_anchor_pause_and_counters() -> None:
    desk = a_desk(static("report"))
    start(desk)
    desk.clock.advance(60)
    desk.cycle()
    before = desk.edit(REPORT, lambda record: edits.paused(record, Pause(note="holiday")))
    assert before is not None
    desk.book.change(static("report", payload="other"))
    assert reconcile(desk).changed == 1
    after = desk.record(REPORT)
    same = ("due_at", "anchor", "paused", "counters", "recent", "created_at")
    assert all(getattr(after, name) == getattr(before, name) for name in same)
    assert after.generation != before.generation


def test_another_schedule_counts_from_now_and_keeps_the_anchor() -> None:
    desk = a_desk(static("report"))
    start(desk)
    anchor = desk.now
    desk.clock.advance(30)
    desk.book.change(static("report", every=20))
    reconcile(desk)
    after = desk.record(REPORT)
    assert (after.anchor, after.due_at) == (anchor, anchor + 40_000)


def test_what_is_due_already_fires_once_under_the_new_schedule() -> None:
    desk = a_desk(static("report"))
    start(desk)
    due = desk.record(REPORT).due_at
    desk.clock.advance(70)
    desk.book.change(static("report", every=50, payload="other"))
    reconcile(desk)
    assert desk.record(REPORT).due_at == due
    desk.cycle()
    [message] = desk.publisher.arrived
    assert (message.due_at, message.spec.args) == (due, ("other",))
    assert desk.record(REPORT).due_at == desk.now + 30_000


def test_seeds_of_a_stock_beat_decide_the_first_due_time() -> None:
    """An interval goes on counting from its last run there; what passed meanwhile is for catch-up."""
    off = replace(static("off"), enabled=False)
    desk = a_desk(static("report"), static("new"), off)
    ran = Instant(desk.now - 10_250)
    assert reconcile(desk, {"report": ran, "off": ran}).seeded == 2
    assert (desk.record(REPORT).due_at, desk.record(REPORT).anchor) == (ran + MINUTE, ran)
    assert desk.record(Key("s:new")).due_at == desk.now + MINUTE
    assert desk.record(Key("s:off")).due_at == NEVER
    overdue = a_desk(static("report"))
    ran = Instant(overdue.now - 10 * MINUTE - 7)
    reconcile(overdue, {"report": ran})
    assert overdue.cycle().sent == 1
    assert overdue.record(REPORT).due_at == ran + 11 * MINUTE


def test_what_has_fired_here_already_is_not_seeded() -> None:
    desk = a_desk(static("report"))
    start(desk)
    desk.clock.advance(60)
    desk.cycle()
    before = desk.record(REPORT)
    reconcile(desk, {"report": Instant(desk.now - 10 * MINUTE)})
    assert desk.record(REPORT) == before


def test_an_entry_that_this_beat_does_not_know_is_left_to_others_for_a_second() -> None:
    one = a_desk(static("report"))
    start(one)
    other = one.beside(Book([static("else")]))
    one.clock.advance(60)
    done = other.cycle()
    assert (done.sent, done.wait_ms) == (0, STEP_ASIDE)
    one.clock.advance(1)
    assert one.cycle().sent == 1


def test_two_versions_in_a_rolling_deploy_do_not_fight() -> None:
    """The last start wins at once, although the older beat last looked around before it."""
    old = a_desk(static("report", every=30))
    start(old)
    new = old.beside(Book([static("report", every=40)]))
    start(new)
    generation = new.record(REPORT).generation
    old.clock.advance(40)
    assert old.cycle().sent == 0
    old.clock.advance(1)
    assert new.cycle().sent == 1
    assert new.record(REPORT).generation == generation


def test_once_the_newer_version_is_gone_the_older_one_writes_its_own() -> None:
    old = a_desk(static("report", every=60))
    start(old)
    new = old.beside(Book([static("report", every=90)]))
    start(new)
    old.clock.advance((KEEP_FOR + MINUTE) / 1000)
    old.neighbours.keep()
    old.cycle()
    assert old.record(REPORT).timing == old.book.timings()["report"]
    old.cycle()
    assert old.sent() == ["report"]


@pytest.mark.parametrize("reported", [False, True])
def test_a_removed_entry_that_nobody_knows_is_deleted_once_its_run_is_over(reported: bool) -> None:
    desk = a_desk()
    record = _running(static("gone"), desk.now)
    run = record.run
    assert run is not None
    if reported:
        record = replace(record, run=replace(run, outcome=Outcome.SUCCEEDED), lease=None)
    desk.put(replace(record, removed=True, generation="newer"))
    desk.clock.advance(1)
    desk.cycle()
    assert desk.stored(record.key) is None


def test_a_new_definition_leaves_a_run_whose_lease_has_ended_to_be_ended() -> None:
    desk = a_desk(static("report", rules=Rules(aware=True), every=30))
    desk.put(_running(static("report", every=60), desk.now))
    desk.clock.advance(1)
    desk.cycle()
    assert desk.record(REPORT).timing == desk.book.timings()["report"]
    desk.cycle()
    after = desk.record(REPORT)
    assert (after.run, after.counters) == (None, Counters(1, 1, 0))


def _running(entry: Entry, now: Instant) -> Record:
    made = edits.create(entry.definition(), now, entry.times(now))
    run = Run(due_at=now, generation=made.generation, starts=1, started_at=now, worker="w")
    return replace(made, run=run, lease=Lease(owner="w", until=now), counters=Counters(1, 0, 0))


def sweeping(desk: Desk, stale_after: int) -> StaleEntries:
    desk.neighbours.keep()
    return StaleEntries(desk.store, desk.neighbours, Observers([desk.events]), stale_after)


def test_an_entry_that_nobody_defines_is_removed_after_a_while() -> None:
    gone = a_desk(static("report"), static("kept"))
    start(gone)
    desk = gone.beside(Book([static("kept")]))
    gone.clock.advance(2 * KEEP_FOR / 1000)
    stale = sweeping(desk, 300_000)
    removed = []
    for _ in range(8):
        desk.neighbours.keep()
        removed.append(stale.sweep())
        desk.clock.advance(60)
    assert removed == [0, 0, 0, 0, 0, 1, 0, 0]
    assert [record.key for record in desk.all("s:")] == ["s:kept"]


@pytest.mark.parametrize("state", ["due", "open", "running", "reported", "dead"])
def test_its_one_shots_go_with_it(state: str) -> None:
    """Else they would be claimed each second for ever, by beats that don't know what they mean."""
    gone = a_desk(static("report", Rules(aware=True)))
    start(gone)
    gone.clock.advance(60)
    gone.cycle()
    [child] = gone.all("o:")
    fields: dict[str, dict[str, object]] = {
        "due": {"run": None},
        "open": {"run": a_run(child)},
        "running": {
            "run": a_run(child, started_at=gone.now, starts=1),
            "lease": Lease(owner="w", until=Instant(gone.now + 30_000)),
        },
        "reported": {"run": a_run(child, started_at=gone.now, starts=1, outcome=Outcome.SUCCEEDED), "lease": None},
        "dead": {"dead": gone.now + 3_600_000, "due_at": NEVER, "run": None, "lease": None},
    }
    gone.edit(child.key, lambda record: replace(record, **fields[state]))  # type: ignore[arg-type]
    desk = gone.beside(Book([static("kept")]))
    gone.clock.advance(2 * KEEP_FOR / 1000)
    stale = sweeping(desk, 300_000)
    for _ in range(8):
        desk.neighbours.keep()
        stale.sweep()
        desk.cycle()
        desk.clock.advance(60)
    assert [record.key for record in desk.all("o:")] == ([child.key] if state == "dead" else [])
    desk.clock.advance(3_600)
    desk.cycle()
    assert desk.all("o:") == []


def test_one_shots_of_an_entry_whose_name_goes_on_after_an_at_sign_stay() -> None:
    kept = static("report@night", Rules(aware=True))
    both = a_desk(static("report", Rules(aware=True)), kept)
    start(both)
    both.clock.advance(60)
    both.cycle()
    desk = both.beside(Book([kept]))
    both.clock.advance(2 * KEEP_FOR / 1000)
    child = next(record for record in both.all("o:") if record.spec.name == "report@night")
    both.edit(child.key, lambda record: replace(record, due_at=NEVER, run=a_run(child, until=NEVER), lease=None))
    stale = sweeping(desk, 300_000)
    for _ in range(8):
        desk.neighbours.keep()
        stale.sweep()
        desk.clock.advance(60)
    assert [(record.key, record.generation, record.removed) for record in desk.all("o:s:report@night")] == [
        (child.key, child.generation, False)
    ]
    assert [record.key for record in desk.all("s:")] == ["s:report@night"]


def a_run(child: Record, **fields: object) -> Run:
    return Run(due_at=child.due_at, generation=child.generation, **fields)  # type: ignore[arg-type]


def test_time_in_which_nobody_looked_does_not_count() -> None:
    gone = a_desk(static("report"))
    start(gone)
    desk = gone.beside(Book())
    gone.clock.advance(2 * KEEP_FOR / 1000)
    stale = sweeping(desk, 300_000)
    assert stale.sweep() == 0
    desk.clock.advance(3_600)
    desk.neighbours.keep()
    assert stale.sweep() == 0
    assert desk.stored(REPORT) is not None


def test_what_a_live_beat_defines_is_never_removed() -> None:
    gone = a_desk(static("report"))
    start(gone)
    desk = gone.beside(Book())
    gone.clock.advance(2 * KEEP_FOR / 1000)
    stale = sweeping(desk, 100_000)
    stale.sweep()
    desk.clock.advance(120)
    back = gone.beside(Book([static("report")]), "beat-3")
    start(back)
    assert stale.sweep() == 0, "this beat has not looked around since the other one came back"
    assert desk.record(REPORT).due_at != NEVER


def test_presence_and_manifest_end_by_themselves() -> None:
    """They are kept for a minute, and are deleted ten minutes later."""
    desk = a_desk(static("report"))
    desk.neighbours.keep()
    desk.clock.advance(30)
    other = desk.beside(Book([static("report")]))
    other.neighbours.keep()
    assert [record.key for record in other.neighbours.present] == ["p:beat-1", "p:beat-2"]
    desk.clock.advance(30)
    other.neighbours.read()
    assert [record.key for record in other.neighbours.present] == ["p:beat-2"]
    assert other.neighbours.defines("report", other.book.timings()["report"])
    desk.clock.advance(30)
    other.neighbours.read()
    assert other.neighbours.defined() == frozenset()
    assert len(desk.all("p:")) == 2
    desk.clock.advance(571)
    other.neighbours.read()
    assert [record.key for record in desk.all("p:")] == ["p:beat-2"]
    assert KEEP_FOR >= 3 * KEEP_EVERY, "two keepings may be missed"

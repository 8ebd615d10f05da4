"""Batches and chunks: time that runs out, interruptions, a store that goes away in between."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.policies import Delivery, Rules
from celery_pyncette.core.records import Counters
from celery_pyncette.engine.dispatcher import CHUNK
from celery_pyncette.events import Overtime, Quarantined
from celery_pyncette.stores.protocol import Change
from tests.engine.desk import MINUTE, PLAIN, Desk, dynamic
from tests.simulation.book import Entry

AT_MOST = Rules(delivery=Delivery.AT_MOST_ONCE)


def names(count: int, rules: Rules = PLAIN) -> list[Entry]:
    return [dynamic(f"e{n:03}", rules) for n in range(count)]


def counters(desk: Desk) -> dict[Counters, int]:
    tally: dict[Counters, int] = {}
    for record in desk.all("d:"):
        tally[record.counters] = tally.get(record.counters, 0) + 1
    return tally


def test_a_batch_goes_through_in_chunks(desk: Desk) -> None:
    desk.schedule(*names(120))
    first = desk.cycle()
    assert (first.claimed, first.sent, first.wait_ms) == (100, 100, 0)
    assert desk.cycle().claimed == 20
    assert desk.publisher.batches == [CHUNK, CHUNK, 20]
    assert counters(desk) == {Counters(1, 1, 0): 120}


def test_once_half_of_the_claim_time_has_passed_the_rest_is_left_to_its_lease(desk: Desk) -> None:
    desk.schedule(*names(100))
    desk.publisher.before_each(lambda number, message: desk.clock.advance(0.125))
    done = desk.cycle()
    assert (done.sent, len(desk.sent())) == (CHUNK, CHUNK)
    assert [event.count for event in desk.events.of(Overtime) if isinstance(event, Overtime)] == [50]
    assert done.wait_ms == 3_750
    desk.publisher.before_each(None)
    assert desk.cycle().claimed == 0
    desk.clock.advance(3.75)
    assert desk.cycle().sent == 50
    assert counters(desk) == {Counters(1, 1, 0): 100}


@pytest.mark.parametrize("rules", [AT_MOST, Rules()], ids=["at most once", "at least once"])
def test_what_was_written_before_time_ran_out_is_put_back(desk: Desk, rules: Rules) -> None:
    desk.schedule(*names(3, rules), dynamic("slow", AT_MOST))
    desk.store.after_apply = lambda changes: desk.clock.advance(6)
    desk.cycle()
    assert desk.sent() == []
    assert desk.events.of(Overtime) != []
    assert counters(desk) == {Counters(): 4}
    desk.store.after_apply = lambda changes: None
    put_back = [record for record in desk.all("d:") if record.lease is None]
    assert len(put_back) == (4 if rules is AT_MOST else 1), "ready at once; the others end with their lease"
    desk.clock.advance(10)
    desk.cycle()
    assert counters(desk) == {Counters(1, 1, 0): 4}
    assert len(desk.sent()) == 4


def test_a_poisoned_record_costs_that_record_only(desk: Desk) -> None:
    desk.schedule(dynamic("a"), dynamic("bad"), dynamic("c"))
    desk.book.unreadable.add("bad")
    desk.cycle()
    assert sorted(desk.sent()) == ["a", "c"]
    [event] = desk.events.of(Quarantined)
    assert isinstance(event, Quarantined)
    assert event.key == "d:bad"
    assert desk.cycle().claimed == 0


def test_a_document_that_cannot_be_read_costs_that_record_only(desk: Desk) -> None:
    from dataclasses import replace

    desk.schedule(dynamic("a"), dynamic("bad"), dynamic("c"))
    rows = desk.space.namespaces["ns"]
    rows["d:bad"] = replace(rows["d:bad"], row=replace(rows["d:bad"].row, document='{"f": 99}'))
    done = desk.cycle()
    assert sorted(desk.sent()) == ["a", "c"]
    assert len(desk.events.of(Quarantined)) == 1
    assert done.wait_ms == 10_000


def test_a_schedule_that_raises_while_settling_costs_that_record_only(desk: Desk) -> None:
    [_, key] = desk.schedule(dynamic("a"), dynamic("bad"))

    def spoil(number: int, message: object) -> None:
        if number == 0:
            desk.book.unreadable.add("bad")
            desk.edit(key, _with_timing)

    desk.publisher.before_each(spoil)
    desk.cycle()
    assert desk.record(desk.all("d:a")[0].key).counters == Counters(1, 1, 0)
    assert not desk.dispatcher.owes
    desk.publisher.before_each(None)
    desk.clock.advance(60)
    desk.cycle()
    assert desk.sent() == ["a", "bad", "a"]


def _with_timing(record: object) -> object:
    from dataclasses import replace

    return replace(record, timing="another")  # type: ignore[type-var]


@pytest.mark.parametrize("rules", [AT_MOST, Rules()], ids=["at most once", "at least once"])
def test_a_beat_that_is_stopped_gives_back_what_it_had_not_begun(desk: Desk, rules: Rules) -> None:
    desk.schedule(*names(8, rules))

    def stop(number: int, message: object) -> None:
        if number == 3:
            raise SystemExit

    desk.publisher.before_each(stop)
    with pytest.raises(SystemExit):
        desk.cycle()
    assert desk.dispatcher.owes
    desk.dispatcher.give_back(desk.store)
    assert not desk.dispatcher.owes
    assert counters(desk) == {Counters(1, 1, 0): 3, Counters(): 5}
    other = desk.beside()
    other.cycle()  # at once: no lease has to end, and nothing is held back
    assert counters(desk) == {Counters(1, 1, 0): 8}
    assert sorted(desk.sent() + other.sent()) == [f"e{n:03}" for n in range(8)]


def test_a_beat_that_is_stopped_between_chunks_releases_what_it_had_claimed(desk: Desk) -> None:
    desk.schedule(*names(100))
    calls = []

    def stop(changes: Sequence[Change]) -> None:
        calls.append(len(changes))
        if len(calls) == 1:
            raise SystemExit

    desk.store.on_apply = stop
    with pytest.raises(SystemExit):
        desk.cycle()
    desk.dispatcher.give_back(desk.store)
    assert all(record.lease is None for record in desk.all("d:"))
    assert counters(desk) == {Counters(1, 1, 0): CHUNK, Counters(): 50}


@pytest.mark.parametrize("applied", [False, True], ids=["before it was written", "its answer lost"])
def test_what_could_not_be_written_down_is_written_at_the_next_cycle(desk: Desk, applied: bool) -> None:
    desk.schedule(dynamic("report"))

    def away(changes: Sequence[Change]) -> None:
        desk.store.on_apply = desk.store.after_apply = lambda changes: None
        raise StoreUnavailable("away")

    if applied:
        desk.store.after_apply = away
    else:
        desk.store.on_apply = away
    with pytest.raises(StoreUnavailable):
        desk.cycle()
    assert desk.dispatcher.owes
    desk.cycle()
    assert not desk.dispatcher.owes
    assert counters(desk) == {Counters(1, 1, 0): 1}
    desk.clock.advance(30)
    desk.cycle()
    assert desk.sent() == ["report"]


def test_the_wait_is_exact(desk: Desk) -> None:
    desk.schedule(dynamic("soon", every=1), dynamic("later"))
    desk.clock.advance(0.25)
    assert desk.cycle().wait_ms == 750
    assert desk.cycle().wait_ms == 750
    desk.clock.advance(0.7)
    assert desk.cycle().wait_ms == 50


def test_the_wait_counts_the_time_that_sending_took(desk: Desk) -> None:
    desk.schedule(dynamic("report", every=3))
    desk.publisher.before_each(lambda number, message: desk.clock.advance(1))
    assert desk.cycle().wait_ms == 2_000


def test_with_nothing_at_all_the_wait_is_long(desk: Desk) -> None:
    assert desk.cycle().wait_ms > 365 * 24 * 60 * MINUTE

"""Result-aware entries through the dispatcher: what is written, sent, told; over a store in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.core import edits
from celery_pyncette.core.instants import NEVER
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.plans import Backend, Sent
from celery_pyncette.core.policies import CatchUp, OnFailure, Overlap
from celery_pyncette.core.records import Counters
from celery_pyncette.events import NotStarted, Paused, Repeated, ResultsLost, Skipped, Superseded, UsedUp
from celery_pyncette.stores.writes import change_of
from tests.engine.desk import dynamic
from tests.results.desk import AT_MOST, AWARE, GATED, AwareDesk

ALLOW = replace(AWARE, overlap=Overlap.ALLOW)


@pytest.fixture
def desk() -> AwareDesk:
    return AwareDesk()


def test_a_run_is_recorded_sent_marked_and_finalised_by_what_the_backend_says(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", AWARE))
    desk.cycle()
    record = desk.record(key)
    [message] = desk.publisher.arrived
    assert message.ticket.aware
    assert desk.run(key).task_id == message.ticket.task_id
    assert record.lease is None
    assert record.due_at == desk.now + 60_000
    said = desk.says(record, Backend.SUCCESS)
    desk.after(5)
    record = desk.record(key)
    assert record.run is None
    assert (record.counters.expected, record.counters.started) == (1, 1)
    assert (record.recent[-1].outcome, record.recent[-1].task_id) == ("succeeded", said)
    assert [event.outcome for event in desk.events.of(UsedUp)] == ["succeeded"]  # type: ignore[attr-defined]


def test_a_batch_is_written_and_asked_for_in_batches(desk: AwareDesk) -> None:
    desk.schedule(*(dynamic(f"job-{number}", AWARE) for number in range(20)))
    desk.store.applied.clear()
    desk.cycle()
    assert [len(keys) for keys in desk.store.applied] == [20, 20], "RECORD, MARK"
    desk.after(5)
    assert [len(ids) for ids in desk.results.asked] == [20]


def test_nobody_is_asked_where_the_workers_have_the_gate() -> None:
    desk = AwareDesk(gated=True)
    [key] = desk.schedule(dynamic("job", GATED))
    desk.cycle()
    assert desk.record(key).ready_at == desk.now + 60_000
    desk.after(60)
    assert desk.results.asked == []
    assert desk.run(key).attempt == 2


def test_a_run_that_nobody_starts_is_told_and_sent_again_with_a_new_id_and_the_same_spec(desk: AwareDesk) -> None:
    desk.schedule(dynamic("job", AWARE))
    desk.cycle()
    for _ in range(12):
        desk.after(5)
    first, second = desk.publisher.arrived
    assert first.ticket.task_id != second.ticket.task_id
    assert first.spec == second.spec
    assert (first.expires_in, second.expires_in) == (55_000, 115_000)
    [told] = desk.events.of(NotStarted)
    assert isinstance(told, NotStarted)
    assert (told.attempt, told.again, told.waited) == (1, True, 60.0)


def test_a_run_that_is_at_work_is_left_alone_and_ends_when_its_first_copy_does(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", AWARE, every=3600))
    desk.cycle()
    desk.says(desk.record(key), Backend.STARTED)
    for _ in range(100):
        desk.after(5)
    assert len(desk.publisher.arrived) == 1
    assert desk.events.of(NotStarted) == []
    desk.says(desk.record(key), Backend.SUCCESS)
    desk.after(5)
    assert desk.record(key).run is None


def test_while_the_backend_is_away_no_run_is_decided_on(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", replace(AWARE, expires=20_000)))
    desk.cycle()
    desk.results.down = ConnectionError("away")
    for _ in range(200):
        desk.after(1)
    assert len(desk.publisher.arrived) == 1
    assert desk.record(key).run is not None
    assert len(desk.events.of(ResultsLost)) == 1
    desk.results.down = None
    desk.says(desk.record(key), Backend.SUCCESS)
    desk.after(2)
    assert desk.record(key).counters.started == 1


def test_other_entries_go_on_while_the_backend_is_away(desk: AwareDesk) -> None:
    desk.schedule(dynamic("job", AWARE, every=3600))
    desk.cycle()
    desk.results.down = ConnectionError("away")
    desk.schedule(dynamic("plain"))
    desk.after(60)
    assert "plain" in desk.sent()


def test_at_most_once_is_put_back_if_its_only_message_was_certainly_not_sent(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", AT_MOST))
    before = desk.record(key)
    desk.publisher.script(Sent.FAILED)
    desk.cycle()
    record = desk.record(key)
    assert record.run is None
    assert (record.due_at, record.counters) == (before.due_at, before.counters)
    desk.after(5)
    assert desk.sent() == ["job"]
    assert desk.run(key).attempt == 1


def test_at_most_once_of_unknown_fate_counts_as_sent(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", AT_MOST, every=36_000))
    desk.publisher.script(Sent.UNSURE)
    desk.cycle()
    assert desk.run(key).dispatched_at == desk.now
    for _ in range(720):
        desk.after(5)
    assert len(desk.publisher.begun) == 1
    [skipped] = desk.events.of(Skipped)
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "never_started"
    assert len(desk.events.of(NotStarted)) == 1


def test_at_least_once_of_unknown_fate_is_asked_for_before_it_is_sent_again(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", AWARE))
    desk.publisher.script(Sent.UNSURE)
    desk.cycle()
    desk.says(desk.record(key), Backend.STARTED)
    desk.after(5)
    assert len(desk.publisher.begun) == 1
    assert desk.run(key).starts == 1


def test_mark_that_comes_too_late_is_good_news(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", GATED))

    def starts(*_: object) -> None:
        desk.edit(key, lambda record: None if record.run is None else _started(record, desk.now))

    desk.publisher.before_each(starts)
    desk.cycle()
    assert desk.run(key).is_running
    assert desk.events.of(Superseded) == []


def _started(record, now):  # type: ignore[no-untyped-def]
    return replace(record, run=replace(record.run, started_at=now, starts=1), lease=replace(record.lease, owner="w"))


def test_a_failed_run_is_told_and_repeated(desk: AwareDesk) -> None:
    rules = replace(AWARE, on_failure=OnFailure.RETRY, backoff=(7_000, 60_000))
    [key] = desk.schedule(dynamic("job", rules))
    desk.cycle()
    desk.says(desk.record(key), Backend.FAILURE)
    desk.after(5)
    [told] = desk.events.of(Repeated)
    assert isinstance(told, Repeated)
    assert (told.outcome, told.attempt, told.again_in) == ("failed", 1, 7.0)
    desk.after(7)
    assert [message.ticket.attempt for message in desk.publisher.arrived] == [1, 2]


def test_a_run_begun_as_result_aware_ends_so_whatever_its_entry_has_become() -> None:
    desk = AwareDesk(gated=True)
    [key] = desk.schedule(dynamic("job", GATED))
    desk.cycle()
    desk.rules["job"] = replace(GATED, aware=False, overlap=Overlap.ALLOW)
    desk.after(60)
    assert [message.ticket.aware for message in desk.publisher.arrived] == [True, True]
    assert desk.run(key).attempt == 2


# --- overlapping runs -----------------------------------------------------------------------------------------------


def test_each_overlapping_occurrence_is_a_record_of_its_own(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", ALLOW, every=10))
    for _ in range(4):
        desk.cycle()
        desk.after(10)
    desk.cycle()
    children = desk.all(f"o:{key}@")
    assert len(children) >= 4
    assert all(child.run is not None for child in children)
    assert desk.record(key).run is None


def test_overlapping_runs_count_towards_max_runs() -> None:
    desk = AwareDesk(gated=True)
    rules = replace(GATED, overlap=Overlap.ALLOW)
    [key] = desk.schedule(replace(dynamic("job", rules, every=10), max_runs=3))
    desk.cycle()
    for _ in range(6):
        desk.after(10)
    assert desk.record(key).due_at >= NEVER
    assert desk.record(key).counters == Counters(expected=3, started=3)
    assert len({message.due_at for message in desk.publisher.arrived}) == 3


def test_no_more_than_max_running_of_them_and_catch_up_decides_about_the_rest(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", replace(ALLOW, max_running=3, start_within=3_000_000), every=10))
    for _ in range(60):
        desk.after(1)
    assert len(desk.all(f"o:{key}@")) == 3
    for child in desk.all(f"o:{key}@")[:2]:
        desk.says(child, Backend.SUCCESS)
    for _ in range(9):
        desk.after(1)
    alive = [child for child in desk.all(f"o:{key}@") if not child.removed]
    assert len(alive) in (2, 3)
    assert len(desk.sent()) > 3
    skipped = [event for event in desk.events.of(Skipped) if isinstance(event, Skipped)]
    assert sum(event.count for event in skipped) >= 2, "LATEST leaves out what waited meanwhile"


def test_a_name_that_goes_on_where_another_ends_is_not_counted(desk: AwareDesk) -> None:
    rules = replace(ALLOW, max_running=1)
    desk.schedule(dynamic("job@1", rules), dynamic("job", rules))
    desk.cycle()
    assert sorted(desk.sent()) == []
    desk.cycle()
    assert sorted(desk.sent()) == ["job", "job@1"]


def test_a_full_house_under_none_is_skipped(desk: AwareDesk) -> None:
    rules = replace(ALLOW, max_running=1, catch_up=CatchUp.NONE, grace=11_000)
    [key] = desk.schedule(dynamic("job", rules, every=10))
    for _ in range(30):
        desk.after(1)
    assert len(desk.all(f"o:{key}@")) == 1
    reasons = {event.reason for event in desk.events.of(Skipped) if isinstance(event, Skipped)}
    assert reasons == {"overlap"}


def test_an_occurrence_that_is_there_already_does_not_hold_the_entry_up(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", ALLOW))
    record = desk.record(key)
    by_hand = edits.run_now(record, record.due_at)
    desk.store.apply([change_of(key, record, by_hand)])
    desk.cycle()
    desk.cycle()
    assert desk.record(key).due_at == record.due_at + 60_000
    assert len(desk.all(one_shot_key(key, record.due_at, record.generation))) == 1
    assert desk.sent() == ["job"]


def test_a_failed_one_shot_pauses_its_entry(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", replace(ALLOW, on_failure=OnFailure.PAUSE)))
    desk.cycle()
    desk.cycle()
    [child] = desk.all(f"o:{key}@")
    desk.says(child, Backend.FAILURE)
    desk.after(5)
    pause = desk.record(key).paused
    assert pause is not None
    assert "failed" in pause.note
    [told] = desk.events.of(Paused)
    assert isinstance(told, Paused)
    assert told.note == pause.note
    assert [event.outcome for event in desk.events.of(UsedUp)] == ["failed"]  # type: ignore[attr-defined]


def test_a_failed_run_pauses_its_entry(desk: AwareDesk) -> None:
    [key] = desk.schedule(dynamic("job", replace(AWARE, on_failure=OnFailure.PAUSE)))
    desk.cycle()
    desk.says(desk.record(key), Backend.FAILURE)
    desk.after(5)
    assert desk.record(key).paused is not None
    assert len(desk.events.of(Paused)) == 1
    desk.after(3600)
    assert len(desk.sent()) == 1


def test_a_one_shot_that_is_given_up_is_a_dead_letter(desk: AwareDesk) -> None:
    rules = replace(ALLOW, on_failure=OnFailure.RETRY, max_attempts=1)
    [key] = desk.schedule(dynamic("job", rules, every=36_000))
    desk.cycle()
    desk.cycle()
    [child] = desk.all(f"o:{key}@")
    desk.says(child, Backend.FAILURE)
    desk.after(5)
    [letter] = desk.all(f"o:{key}@")
    assert letter.dead == desk.now + rules.dead_letter_ttl
    assert letter.recent[-1].reason == "gave up"

"""schedule_task and unschedule_task: what becomes of an entry, and what a beat then sends."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from celery_pyncette import CatchUp, Cron, EntrySpec, InvalidEntry, Policy, get_task, pause_task, unschedule_task
from celery_pyncette.client.desk import Desk, seat
from celery_pyncette.core.records import Origin, Outcome
from celery_pyncette.core.schedules import Every, Jitter
from tests.client.setting import Setting, app_of

AWARE = Policy(result_aware=True)
START = datetime(2024, 1, 1, tzinfo=timezone.utc)


def at(**more: float) -> datetime:
    return START + timedelta(**more)


def test_an_interval_is_due_after_it_and_again(here: Setting):
    state = here.schedule("shop.mail", "mail", interval=60, args=[1, "x"], kwargs={"to": "me"}, options={"queue": "q"})
    assert (state.name, state.origin, state.task, state.state) == ("mail", Origin.DYNAMIC, "shop.mail", "waiting")
    assert state.next_due == at(seconds=60)
    assert here.beat(59) == []
    assert here.beat(1) == ["mail"]
    sent = here.publisher.arrived[0].spec
    assert (sent.task, list(sent.args), sent.kwargs, sent.options) == (
        "shop.mail",
        [1, "x"],
        {"to": "me"},
        {"queue": "q"},
    )
    assert here.beat(60) == ["mail"]
    assert get_task("mail", app=here.app).counters.started == 2


def test_start_is_the_first_due_time_of_an_interval(here: Setting):
    state = here.schedule("t", "n", interval=3600, start=at(minutes=7), end=at(hours=2))
    assert state.next_due == at(minutes=7)
    assert here.beat(7 * 60) == ["n"]
    assert get_task("n", app=here.app).next_due == at(hours=1, minutes=7)
    assert here.beat(3600) == ["n"]
    assert get_task("n", app=here.app).state == "exhausted"


def test_a_cron_string_is_read_in_the_app_s_zone_which_is_kept(here: Setting):
    state = here.schedule("t", "n", schedule="30 9 * * *")
    assert (state.timezone, state.next_due) == ("Europe/Berlin", at(hours=8, minutes=30))
    other = here.schedule("t", "m", schedule="30 9 * * *", timezone="Asia/Tokyo")
    assert (other.timezone, other.next_due) == ("Asia/Tokyo", at(minutes=30))


def test_execute_at_runs_once_and_is_gone(here: Setting):
    here.schedule("t", "n", execute_at=at(seconds=10))
    assert here.beat(10) == ["n"]
    assert here.beat(3600) == []
    assert get_task("n", app=here.app) is None
    assert here.record("d:n") is None


def test_execute_at_in_the_past_runs_at_once(here: Setting):
    here.schedule("t", "n", execute_at=at(days=-400))
    assert here.beat() == ["n"]


def test_what_is_the_same_is_left_alone(here: Setting):
    entry = {"schedule": "0 3 * * *", "args": [{"a": (1, 2)}], "options": {"expires": timedelta(minutes=5)}}
    first = here.schedule("t", "n", **entry)
    here.clock.advance(100)
    again = here.schedule("t", "n", **entry)
    assert (again.version, again.generation, again.next_due) == (1, first.generation, first.next_due)


def test_force_begins_anew_also_what_is_the_same(here: Setting):
    first = here.schedule("t", "n", interval=60, max_runs=1)
    here.beat(60)
    assert get_task("n", app=here.app).state == "exhausted"
    again = here.schedule("t", "n", interval=60, max_runs=1, force=True)
    assert again.generation != first.generation
    assert again.next_due == at(seconds=120)
    assert here.beat(60) == ["n"]
    assert here.beat(60) == []


def test_another_payload_keeps_the_due_time_another_schedule_does_not(here: Setting):
    first = here.schedule("t", "n", interval=3600)
    here.clock.advance(600)
    second = here.schedule("t", "n", interval=3600, args=[1])
    assert (second.next_due, second.version) == (first.next_due, 2)
    assert second.generation != first.generation
    third = here.schedule("t", "n", interval=1800, args=[1])
    assert third.next_due == at(seconds=1800)  # the interval keeps its anchor


def test_what_is_due_already_fires_once_with_the_new_payload(here: Setting):
    here.schedule("t", "n", interval=60)
    here.clock.advance(61)
    here.schedule("u", "n", schedule="0 0 1 1 *", args=["new"])
    assert here.beat() == ["n"]
    assert here.publisher.arrived[0].spec.task == "u"
    assert here.beat(3600) == []


def test_max_runs_may_be_raised_and_lowered(here: Setting):
    here.schedule("t", "n", interval=60, max_runs=2)
    assert here.beat(60) + here.beat(60) + here.beat(60) == ["n", "n"]
    assert here.schedule("t", "n", interval=60, max_runs=3).state == "waiting"
    assert here.beat(60) + here.beat(60) == ["n"]
    here.schedule("t", "n", interval=60)
    assert here.beat(60) == ["n"]
    assert here.schedule("t", "n", interval=60, max_runs=4).state == "exhausted"


def test_replacing_and_removing_never_disturb_a_running_run(here: Setting):
    here.schedule("t", "n", interval=60, policy=AWARE)
    here.beat(60)
    working = here.work()
    replaced = here.schedule("t", "n", interval=60, args=[2], policy=AWARE)
    assert (replaced.state, replaced.run.worker) == ("running", "worker")
    assert here.record("d:n").lease.owner == "worker"
    assert unschedule_task("n", app=here.app)
    assert get_task("n", app=here.app) is None, "hidden, and there"
    assert here.record("d:n").removed
    working.end()
    assert here.record("d:n") is None
    assert here.beat(600) == []


def test_a_tombstone_is_revived_as_a_new_entry(here: Setting):
    here.schedule("t", "n", interval=60, policy=AWARE)
    here.beat(60)
    working = here.work()
    pause_task("n", app=here.app)
    unschedule_task("n", app=here.app)
    here.clock.advance(10)
    state = here.schedule("t", "n", interval=60, policy=AWARE)
    assert (state.paused, state.next_due) == (None, at(seconds=130))
    working.end()
    assert here.beat(60) == ["n"], "not before the old run is over, and not as its retry"
    assert here.record("d:n").counters.expected == 2


def test_a_run_that_has_not_started_is_sent_with_the_new_definition(here: Setting):
    here.schedule("t", "n", interval=60, policy=AWARE)
    here.beat(60)
    here.schedule("u", "n", interval=60, policy=AWARE)
    assert here.beat() == ["n"]
    assert [message.spec.task for message in here.publisher.arrived] == ["t", "u"]
    assert here.publisher.arrived[0].due_at == here.publisher.arrived[1].due_at


def test_a_dead_letter_is_revived(here: Setting):
    policy = {"result_aware": True, "max_attempts": 1}
    here.schedule("t", "n", execute_at=at(), policy=policy)
    here.beat()
    here.work().end(Outcome.ABANDONED)
    assert get_task("n", app=here.app).state == "dead letter"
    assert here.schedule("t", "n", execute_at=at(), policy=policy).state == "due"
    assert here.beat() == ["n"]


def test_unscheduling_is_exact(here: Setting):
    first = here.schedule("t", "n", interval=60)
    second = here.schedule("t", "n", interval=61)
    assert not unschedule_task("n", generation=first.generation, app=here.app)
    assert get_task("n", app=here.app).generation == second.generation
    assert unschedule_task("n", generation=second.generation, app=here.app)
    assert not unschedule_task("n", app=here.app)


def test_static_entries_are_neither_scheduled_nor_unscheduled():
    here = Setting(app=app_of(beat_schedule={"report": {"task": "t", "schedule": 60}}))
    with pytest.raises(InvalidEntry, match="name='report': is a static entry"):
        here.schedule("t", "report", interval=60)
    with pytest.raises(InvalidEntry, match="name='report': is a static entry"):
        unschedule_task("report", app=here.app)
    elsewhere = app_of()
    seat(Desk(elsewhere, here.store))
    with pytest.raises(InvalidEntry, match="is a static entry"):
        unschedule_task("report", app=elsewhere)


def test_dates_that_never_come_are_refused_by_the_store_s_clock(here: Setting):
    with pytest.raises(InvalidEntry, match="its dates never come"):
        here.schedule("t", "n", schedule="0 0 30 2 *")
    past = Cron("0 0 0 1 1 * 2023", seconds="first")
    with pytest.raises(InvalidEntry, match="its dates never come"):
        here.schedule("t", "n", schedule=past)
    assert here.record("d:n") is None


def test_an_end_that_has_passed_is_no_error_so_that_start_up_code_may_run_again(here: Setting):
    assert here.schedule("t", "n", interval=60, end=at(days=-1)).state == "exhausted"


def test_an_entry_spec_says_the_same_as_the_keywords(here: Setting):
    spec = EntrySpec(
        name="n", task="t", origin=Origin.DYNAMIC, schedule=Every(60), start=here.now, policy=Policy(catch_up="all")
    )
    from celery_pyncette import schedule_tasks

    assert schedule_tasks([spec], app=here.app).created == 1
    again = here.schedule("t", "n", interval=60, start=at(), policy=Policy(catch_up=CatchUp.ALL))
    assert again.version == 1


def test_a_change_writes_one_record_and_touches_no_other(here: Setting):
    for number in range(20):
        here.schedule("t", f"n{number}", interval=60)
    before = {record.key: record.version for record in here.records("d:")}
    here.schedule("t", "n7", interval=61)
    after = {record.key: record.version for record in here.records("d:")}
    assert {key for key in after if after[key] != before[key]} == {"d:n7"}


PAYLOAD: list[dict[str, Any]] = [
    *({"task": "u"}, {"args": [1]}, {"kwargs": {"a": 1}}, {"options": {"queue": "q"}}, {"options": {"expires": 60}}),
    *({"max_runs": 7}, {"policy": {"catch_up": "all"}}, {"policy": {"delivery": "at_most_once"}}, {"tenant": "x"}),
]
TIMING: list[dict[str, Any]] = [
    *({"schedule": "7 * * * *"}, {"timezone": "Asia/Tokyo"}, {"jitter": 5}, {"jitter": Jitter(5, "hash")}),
    *({"start": datetime(2040, 1, 1, tzinfo=timezone.utc)}, {"end": datetime(2040, 1, 1, tzinfo=timezone.utc)}),
]


@pytest.mark.parametrize("change", [*PAYLOAD, *TIMING], ids=str)
def test_whatever_differs_makes_another_definition_and_the_same_again_none(here: Setting, change: dict[str, Any]):
    given: dict[str, Any] = {"task": "t", "name": "n", "schedule": "30 2 * * *"}
    before = here.schedule(**given)
    after = here.schedule(**{**given, **change})
    assert after.generation != before.generation
    here.schedule(**{**given, "name": "as before"})
    assert (here.record("d:n").timing != here.record("d:as before").timing) is (change in TIMING)
    assert here.schedule(**{**given, **change}).version == after.version

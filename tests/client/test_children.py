"""One-shots of an overlapping entry, and those of run_task_now, get the same edit as their parent."""

from __future__ import annotations

import pytest

from celery_pyncette import Policy, get_task, list_tasks, run_task_now, unschedule_task
from celery_pyncette.core.records import Outcome
from tests.client.setting import Setting

OVERLAPPING = Policy(result_aware=True, overlap="allow", max_attempts=1, lease=600)


@pytest.fixture
def sent(here: Setting) -> Setting:
    """Two occurrences have been sent: the first is being worked on, the second has not been started."""
    here.schedule("t", "n", interval=60, policy=OVERLAPPING)
    assert here.beat(60) == ["n"]
    here.first = here.work()
    assert here.beat(30) == []
    assert here.beat(30) == ["n"]
    assert len(here.records("o:")) == 2
    return here


def test_a_new_payload_reaches_what_has_not_been_started(sent: Setting):
    sent.schedule("u", "n", interval=60, policy=OVERLAPPING)
    running, waiting = sent.records("o:")
    assert running.run.is_running
    assert running.run.replan
    assert waiting.run is None
    assert {child.generation for child in (running, waiting)} == {sent.record("d:n").generation}
    assert sent.beat() == ["n"]
    assert sent.publisher.arrived[-1].spec.task == "u"


def test_a_new_schedule_takes_back_what_has_not_been_started(sent: Setting):
    sent.schedule("t", "n", interval=61, policy=OVERLAPPING)
    (running,) = sent.records("o:")
    assert running.removed
    assert running.run.is_running
    sent.first.end()
    assert sent.records("o:") == []


def test_removing_the_entry_leaves_no_orphan(sent: Setting):
    assert unschedule_task("n", app=sent.app)
    assert [child.removed for child in sent.records("o:")] == [True]
    sent.first.end()
    assert sent.records("o:") == sent.records("d:") == []
    assert sent.beat(3600) == []


def test_force_takes_back_what_has_not_been_started(sent: Setting):
    sent.schedule("t", "n", interval=60, policy=OVERLAPPING, force=True)
    assert [child.removed for child in sent.records("o:")] == [True]


def test_dead_letters_stay(sent: Setting):
    sent.first.end(Outcome.ABANDONED)
    assert [task.state for task in list_tasks(dead=True, app=sent.app).tasks] == ["dead letter"]
    unschedule_task("n", app=sent.app)
    assert [record.dead is not None for record in sent.records("o:")] == [True]


def test_children_of_a_name_that_looks_alike_are_not_touched(here: Setting):
    for name in ("n", "n@1@2", "n@"):
        here.schedule("t", name, interval=3600)
        run_task_now(name, app=here.app)
    unschedule_task("n", app=here.app)
    assert sorted(record.spec.name for record in here.records("o:")) == ["n@", "n@1@2"]


def test_run_now_is_one_more_run_and_moves_nothing(here: Setting):
    before = here.schedule("t", "n", interval=3600, args=[1])
    after = run_task_now("n", app=here.app)
    assert after.next_due == before.next_due
    assert here.beat() == ["n"]
    assert list(here.publisher.arrived[0].spec.args) == [1]
    assert here.beat(1) == []
    assert get_task("n", app=here.app).counters.started == 0


def test_run_now_again_within_the_same_millisecond_is_another_run(here: Setting):
    here.schedule("t", "n", interval=3600)
    for _ in range(3):
        run_task_now("n", app=here.app)
    assert here.beat(1) == ["n"] * 3


def test_many_parents_are_looked_after_together(here: Setting):
    from celery_pyncette import schedule_tasks

    names = [f"user-{number}" for number in range(30)]
    schedule_tasks(({"task": "t", "name": name, "interval": 3600} for name in names), app=here.app)
    for name in names[::3]:
        run_task_now(name, app=here.app)
    done = schedule_tasks(({"task": "u", "name": name, "interval": 3600} for name in names), app=here.app)
    assert done.replaced == 30
    assert {record.spec.task for record in here.records("o:")} == {"u"}
    assert sorted(here.beat()) == sorted(names[::3])


def test_where_there_are_very_many_one_shots_each_parent_is_looked_after_by_itself(
    here: Setting, monkeypatch: pytest.MonkeyPatch
):
    from celery_pyncette import schedule_tasks
    from celery_pyncette.client import children

    monkeypatch.setattr(children, "_PAGE", 2)
    names = [f"user-{number}" for number in range(12)]
    schedule_tasks(({"task": "t", "name": name, "interval": 3600} for name in names), app=here.app)
    for name in names:
        run_task_now(name, app=here.app)
    schedule_tasks(({"task": "u", "name": name, "interval": 3600} for name in names), app=here.app)
    assert [record.spec.task for record in here.records("o:")] == ["u"] * 12

"""A store whose answers get lost: what was asked again is not done twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

import pytest

from celery_pyncette import StoreUnavailable, get_task, run_task_now, schedule_tasks, unschedule_task
from celery_pyncette.core.instants import Instant
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Applied, Change
from tests.client.setting import Setting

NOW = datetime(2024, 1, 1, tzinfo=timezone.utc)


class Lossy(MemoryStore):
    """Writes, and loses the answer; meanwhile a beat does its work."""

    losses = 0
    here: Setting
    meanwhile: Callable[[], object]

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        answer = super().apply(changes, seen)
        if self.losses > 0:
            self.losses -= 1
            self.meanwhile()
            raise StoreUnavailable("the answer was lost")
        return answer


@pytest.fixture
def lossy(here: Setting) -> Lossy:
    store = Lossy("shop", clock=here.clock, space=here.store._space)
    store.here, store.meanwhile = here, here.beat
    here.serve(Guarded(store, name="lossy", budget=60, clock=here.clock))
    return store


def test_a_create_whose_answer_was_lost_is_known_by_its_generation(here: Setting, lossy: Lossy):
    lossy.losses = 1
    state = here.schedule("t", "n", execute_at=NOW)
    assert [message.spec.name for message in here.publisher.arrived] == ["n"]
    assert here.record("d:n").generation == state.generation
    assert here.beat(600) == []


def test_a_replacement_whose_answer_was_lost_is_not_made_again(here: Setting, lossy: Lossy):
    here.schedule("t", "n", interval=60)
    here.clock.advance(60)
    lossy.losses = 1
    here.schedule("u", "n", interval=60)
    assert [message.spec.task for message in here.publisher.arrived] == ["u"]
    assert get_task("n", app=here.app).counters.started == 1


def test_a_removal_whose_answer_was_lost_is_one(here: Setting, lossy: Lossy):
    here.schedule("t", "n", interval=60)
    lossy.losses = 1
    assert unschedule_task("n", app=here.app)
    assert here.records("d:") == []


def test_a_run_whose_answer_was_lost_is_one_run(here: Setting, lossy: Lossy):
    here.schedule("t", "n", interval=60)
    lossy.losses = 1
    run_task_now("n", app=here.app)
    here.beat(1)
    assert len(here.publisher.arrived) == 1


@pytest.mark.parametrize("task", ["t", "u"])
def test_a_run_whose_answer_was_lost_is_one_run_although_its_entry_was_changed_meanwhile(
    here: Setting, lossy: Lossy, task: str
):
    """Another process edits the entry before the question is repeated, and the run perhaps with it."""
    here.schedule("t", "n", interval=60)
    lossy.meanwhile = lambda: here.schedule(task, "n", interval=60, kwargs={"by": "another"})
    lossy.losses = 1
    run_task_now("n", app=here.app)
    here.beat(1)
    assert [message.spec.task for message in here.publisher.arrived] == [task]


def test_a_batch_whose_answer_was_lost_is_written_once(here: Setting, lossy: Lossy):
    lossy.losses = 1
    done = schedule_tasks(({"task": "t", "name": f"n{number}", "execute_at": NOW} for number in range(5)), app=here.app)
    assert done.created == 5
    here.beat(600)
    assert len(here.publisher.arrived) == 5


def test_a_bulk_that_fails_says_how_far_it_came(here: Setting, lossy: Lossy):
    def entries():
        for number in range(5):
            if number == 4:
                lossy.losses = 1000
            yield {"task": "t", "name": f"n{number}", "interval": 60}

    with pytest.raises(StoreUnavailable, match="2 entries were dealt with, the next 2 perhaps"):
        schedule_tasks(entries(), batch=2, app=here.app)

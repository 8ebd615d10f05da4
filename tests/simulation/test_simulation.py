"""The invariants hold over many seeds; `python -m tests.simulation` plays as many as one likes."""

from __future__ import annotations

import os

import pytest

from tests.simulation.baton import Died, Stage
from tests.simulation.scenario import STEPS, Ran, run
from tests.simulation.world import Faults

#: PYNCETTE_SIMULATION_SEEDS asks for more; what CI plays takes some seconds.
SEEDS = int(os.environ.get("PYNCETTE_SIMULATION_SEEDS", "500"))
PART = 100


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_promise_is_broken(first: int) -> None:
    ran = [run(seed) for seed in range(first, first + PART)]
    assert min(one.steps for one in ran) >= STEPS
    assert sum(one.hit > 0 for one in ran) >= 0.9 * PART
    assert all(sum(getattr(one, name) for one in ran) > 0 for name in ("arrived", "skipped", "copies", "edits"))


def test_people_who_edit_all_the_time_break_nothing() -> None:
    ran = [run(seed, bustle=Faults(stall=0.05 * (seed % 2))) for seed in range(40)]
    assert sum(one.edits for one in ran) > 4_000
    assert sum(one.arrived for one in ran) > 1_000


def test_a_seed_is_the_same_run_each_time() -> None:
    first = [run(seed) for seed in range(5)]
    assert [run(seed) for seed in range(5)] == first
    assert len({one.steps for one in first}) > 1
    assert isinstance(first[0], Ran)


def test_whoever_wakes_first_has_the_baton() -> None:
    stage, told = Stage(0), list[tuple[str, int]]()

    def play(name: str, every: int) -> None:
        while True:
            told.append((name, stage.now))
            stage.pause(every)

    stage.add("a", lambda: play("a", 30))
    stage.add("b", lambda: play("b", 50), delay=10)
    stage.run(100)
    stage.close()
    assert told == [("a", 0), ("b", 10), ("a", 30), ("a", 60), ("b", 60), ("a", 90)]
    assert stage.now == 100


def test_what_an_actor_raises_ends_the_run() -> None:
    stage, died = Stage(0), list[str]()

    def bystander() -> None:
        try:
            while True:
                stage.pause(1)
        except Died:
            died.append("bystander")
            raise

    def failing() -> None:
        stage.pause(10)
        raise ValueError("this one")

    stage.add("bystander", bystander)
    stage.add("failing", failing)
    with pytest.raises(ValueError, match="this one"):
        stage.run(100)
    assert died == ["bystander"]

"""The promises about runs hold over many seeds; `python -m tests.simulation --aware` plays as many as one likes."""

from __future__ import annotations

import os

import pytest

from tests.simulation.aware_scenario import run
from tests.simulation.aware_setting import STEPS

#: PYNCETTE_SIMULATION_SEEDS asks for more; what CI plays takes a few seconds.
SEEDS = int(os.environ.get("PYNCETTE_SIMULATION_SEEDS", "200"))
PART = 100


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_no_promise_about_a_run_is_broken(first: int) -> None:
    ran = [run(seed) for seed in range(first, first + PART)]
    assert min(one.steps for one in ran) >= STEPS
    assert sum(one.hit > 0 for one in ran) >= 0.88 * PART
    assert all(sum(getattr(one, name) for one in ran) > 50 for name in ("sent", "begun", "copies", "refused", "edits"))
    seen = {how for one in ran for how in one.ended}
    assert {"succeeded", "failed", "success", "replaced", "deadline", "never started", "no outcome"} <= seen


def test_a_seed_is_the_same_run_each_time() -> None:
    first = [run(seed) for seed in range(6)]
    assert [run(seed) for seed in range(6)] == first
    assert len({one.steps for one in first}) > 1

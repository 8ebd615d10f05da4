"""Each rule about runs that is left out is found within a few seeds, and nothing is found where it is not left out."""

from __future__ import annotations

import pytest

from tests.simulation.aware_mutants import AWARE_MUTANTS
from tests.simulation.failover import a_start_is_lost

#: Seeds that are played from a known one on; `python -m tests.simulation --mutants` begins at 0 and goes on for longer.
WITHIN = 300


@pytest.mark.parametrize("name", AWARE_MUTANTS)
def test_a_rule_about_runs_that_is_left_out_is_missed(name: str) -> None:
    mutant = AWARE_MUTANTS[name]
    assert any(mutant.finds(mutant.play(seed)) for seed in range(mutant.near, mutant.near + WITHIN))


@pytest.mark.parametrize("name", AWARE_MUTANTS)
def test_the_same_setting_with_the_rule_breaks_nothing(name: str) -> None:
    if name != "an ordinary worker, and start_attempts above 1":  # a setting that the documentation forbids
        for seed in range(5):
            AWARE_MUTANTS[name].rightly(seed)


def test_a_start_that_a_failover_lost_is_refused_to_the_message_that_comes_again() -> None:
    ran = a_start_is_lost(0)
    assert ran.begun == 1
    assert ran.refused == 2  # the second START, and the REPORT of the first

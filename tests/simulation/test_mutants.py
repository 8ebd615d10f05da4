"""Each rule of the protocol that is left out is found, at a seed that is known to find it."""

from __future__ import annotations

import pytest

from tests.simulation.ledger import Violation
from tests.simulation.mutants import MUTANTS
from tests.simulation.scenario import run

#: Seeds that are played from the known one on, so that a harmless change of the dice does not blind the test.
REACH = 8


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_left_out_is_missed(name: str) -> None:
    mutant = MUTANTS[name]
    seen = (mutant.play(seed) for seed in range(mutant.seed, mutant.seed + REACH))
    found = next((said for said in seen if said is not None and mutant.seen in said), None)
    assert found is not None, f"`python -m tests.simulation --mutants` looks for another seed than {mutant.seed}"


@pytest.mark.parametrize("name", MUTANTS)
def test_the_rule_itself_breaks_nothing_at_that_seed(name: str) -> None:
    mutant = MUTANTS[name]
    try:
        ran = run(mutant.seed, order=mutant.order, bustle=mutant.bustle)
    except Violation as violation:
        pytest.fail(f"seed {mutant.seed} is broken without the mutant: {violation}")
    assert ran.arrived > 0

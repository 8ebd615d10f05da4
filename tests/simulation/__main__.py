"""The full run, and the search for the seeds that find the mutants.

::

    python -m tests.simulation 20000            # seeds 0 to 19999
    python -m tests.simulation 20000 30000      # a range of seeds
    python -m tests.simulation mutants 10000    # the first seed below 10000 that finds each mutant
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.simulation.ledger import Violation
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.scenario import STEPS, Ran, run


def first_seed(mutant: Mutant, seeds: range) -> tuple[int, str] | None:
    """The first seed that finds a mutant, and what is seen; None if none does."""
    for seed in seeds:
        seen = mutant.play(seed)
        if seen is not None and mutant.seen in seen:
            return seed, seen
    return None


def _search(limit: int) -> int:
    missed = 0
    for mutant in MUTANTS.values():
        found = first_seed(mutant, range(limit))
        missed += found is None
    return missed


def _run_all(seeds: range) -> int:
    _started, tally, broken = time.process_time(), Counter[str](), 0
    for seed in seeds:
        try:
            ran: Ran = run(seed)
        except Violation:
            broken += 1
            continue
        tally.update({"runs": 1, "faulty": ran.hit > 0, "short": ran.steps < STEPS})
        tally.update({name: getattr(ran, name) for name in ("steps", "hit", "arrived", "skipped", "copies", "edits")})
    return broken


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["mutants"]:
        return _search(int(arguments[1]))
    bounds = [int(argument) for argument in arguments] or [20_000]
    return _run_all(range(*bounds) if len(bounds) == 2 else range(bounds[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

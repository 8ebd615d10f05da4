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
    for name, mutant in MUTANTS.items():
        found = first_seed(mutant, range(limit))
        missed += found is None
        _say(f"{name}: {'NOT FOUND' if found is None else f'seed {found[0]}: {found[1]}'}")
    return missed


def _run_all(seeds: range) -> int:
    started, tally, broken = time.process_time(), Counter[str](), 0
    for seed in seeds:
        try:
            ran: Ran = run(seed)
        except Violation as violation:
            broken += 1
            _say(f"seed {seed}: {violation}")
            continue
        tally.update({"runs": 1, "faulty": ran.hit > 0, "short": ran.steps < STEPS})
        tally.update({name: getattr(ran, name) for name in ("steps", "hit", "arrived", "skipped", "copies", "edits")})
    _say(f"{dict(tally)}, {broken} broken, {time.process_time() - started:.0f} s of CPU")
    return broken


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["mutants"]:
        return min(1, _search(int(arguments[1])))
    bounds = [int(argument) for argument in arguments] or [20_000]
    return min(1, _run_all(range(*bounds) if len(bounds) == 2 else range(bounds[0])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

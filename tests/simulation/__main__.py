"""The full run, and the table of the mutants.

::

    python -m tests.simulation --seeds 20000             # entries that are not result-aware
    python -m tests.simulation --seeds 20000 --aware     # result-aware runs
    python -m tests.simulation --seeds 20000 30000       # a range of seeds
    python -m tests.simulation --mutants                 # how, and after how many seeds, each mutant is found
    python -m tests.simulation --mutants --only nonce    # some of them
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.simulation import aware_scenario, aware_setting, scenario
from tests.simulation.ledger import Violation
from tests.simulation.table import rows

TOLD = ("steps", "hit", "arrived", "sent", "begun", "refused", "skipped", "copies", "edits")


def _run_all(seeds: range, run: Callable[[int], object], least: int) -> int:
    started, tally, broken = time.process_time(), Counter[str](), 0
    for seed in seeds:
        try:
            ran = run(seed)
        except Violation as violation:
            broken += 1
            _say(f"seed {seed}: {violation}")
            continue
        tally.update({"runs": 1, "faulty": getattr(ran, "hit") > 0, "short": getattr(ran, "steps") < least})  # noqa: B009
        tally.update({name: getattr(ran, name, 0) for name in TOLD})
        tally.update(getattr(ran, "ended", {}))
    said = ", ".join(f"{name} {count}" for name, count in tally.items() if count)
    _say(f"{said}; {broken} broken; {time.process_time() - started:.0f} s of CPU")
    return broken


def _table(limit: int, only: str) -> int:
    missed = 0
    for row in rows(limit, only):
        missed += row.missed
        _say(str(row))
    _say(f"{missed} not found")
    return missed


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", help="how many, or the first and the last but one")
    parser.add_argument("--aware", action="store_true", help="result-aware runs, with workers")
    parser.add_argument("--mutants", action="store_true", help="the table of the rules that are left out")
    parser.add_argument("--only", default="", help="of the mutants those whose name has this")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if given.mutants:
        return min(1, _table((given.seeds or [10_000])[0], given.only))
    seeds = range(*(given.seeds or [20_000])[:2])
    if given.aware:
        return min(1, _run_all(seeds, aware_scenario.run, aware_setting.STEPS))
    return min(1, _run_all(seeds, scenario.run, scenario.STEPS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

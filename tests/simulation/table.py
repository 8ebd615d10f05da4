"""The table of the mutants: what is left out, how it is found, and after how many seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.simulation.aware_mutants import AWARE_MUTANTS
from tests.simulation.mutants import MUTANTS


@dataclass(frozen=True, slots=True)
class Row:
    """One mutant. ``after``: how many seeds it took, None if none found it; ``seen``: what the one that did saw."""

    name: str
    how: str
    after: int | None
    seen: str = ""

    @property
    def missed(self) -> bool:
        return self.after is None

    def __str__(self) -> str:
        found = "NOT FOUND" if self.after is None else f"after {self.after}"
        return f"| {self.name} | {self.how} | {found} | {self.seen} |"


def rows(limit: int, only: str = "") -> Iterator[Row]:
    """Each mutant whose name has ``only``, searched for below the seed ``limit``."""
    for name, mutant in MUTANTS.items():
        if only in name:
            yield searched(
                name, "not result-aware", mutant.play, lambda said, mutant=mutant: mutant.seen in said, limit
            )
    for name, aware in AWARE_MUTANTS.items():
        if only in name:
            how = "result-aware" if aware.case is None else "a case by hand"
            yield searched(name, how, aware.play, aware.finds, limit)


def searched(name: str, how: str, play: Callable[[int], str | None], finds: Callable[[str], bool], limit: int) -> Row:
    """The first seed that finds it."""
    for seed in range(limit):
        seen = play(seed)
        if seen is not None and finds(seen):
            return Row(name, how, seed + 1, seen)
    return Row(name, how, None)

"""What an import did, or would do, as rows and JSON values; nothing here prints or asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from celery_pyncette.display import describe
from celery_pyncette.migrate.moving import Fate, Move
from celery_pyncette.words import moment, times

COLUMNS = ("NAME", "FATE", "SCHEDULE", "DUE THERE", "DUE HERE", "WHAT TO KNOW")
STYLES = {"created": "green", "changed": "yellow", "refused": "red", "static": "cyan", "over": "cyan"}


@dataclass
class Report:
    """Counts of all, and the first ``limit`` that are worth a line.

    ``everything``: also those that went as they should.
    """

    limit: int
    everything: bool
    counts: Counter[Fate] = field(default_factory=Counter)
    moves: list[Move] = field(default_factory=list)
    more: bool = False

    def take(self, moves: Iterable[Move]) -> Iterable[Move]:
        """Keep what is worth it; yields all."""
        for move in moves:
            self.counts[move.fate] += 1
            if self.everything or knows(move):
                if len(self.moves) < self.limit:
                    self.moves.append(move)
                else:
                    self.more = True
            yield move

    @property
    def summary(self) -> str:
        """The counts in words."""
        said = [f"{self.counts[fate]} {fate.value}" for fate in Fate if self.counts[fate]]
        return ", ".join(said) or "nothing was found"


def knows(move: Move) -> list[str]:
    """What there is to know of an entry, one sentence each."""
    said = [move.reason] if move.reason else []
    if move.differs:
        said.append(f"differs: {move.differs}")
    if move.fate in (Fate.CREATED, Fate.CHANGED):
        said += move.entry.notes
        if not move.entry.enabled:
            said.append("switched off there: paused here")
    return said


def cells(move: Move) -> tuple[str, ...]:
    """A row of the table, as ``COLUMNS`` says."""
    entry = move.entry
    return (
        entry.name,
        move.fate.value,
        "-" if entry.schedule is None else describe(entry.schedule),
        moment(entry.due_there),
        moment(move.due_here),
        "; ".join(knows(move)),
    )


def document(move: Move) -> dict[str, Any]:
    """As JSON values; the keys are a promise."""
    entry = move.entry
    return {
        "name": entry.name,
        "fate": move.fate.value,
        "task": entry.task if isinstance(entry.task, str) else None,
        "schedule": None if entry.schedule is None else describe(entry.schedule),
        "timezone": entry.timezone,
        **times("last_run_at", entry.last_run_at),
        **times("due_there", entry.due_there),
        **times("due_here", move.due_here),
        "differs": move.differs,
        "reason": move.reason or None,
        "notes": list(entry.notes),
    }

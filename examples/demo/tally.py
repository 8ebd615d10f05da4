"""Counts the demo: what the clock says was due, what the store's records say, what the worker wrote down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Occurrence = tuple[str, int]
"""The name of an entry, and one of its due times in milliseconds."""


@dataclass(frozen=True)
class Row:
    """One entry. ``expected`` comes from the clock alone, the next three from the store, the last three from both."""

    entry: str
    expected: int
    used_up: int
    skipped: int
    open: int
    ran: int
    missed: int
    doubled: int

    @property
    def good(self) -> bool:
        return self.expected == self.used_up + self.skipped + self.open and not self.missed and not self.doubled


def due_times(first: int, interval: float, until: int) -> range:
    """Every due time of an interval entry up to a moment, from its first one; nothing of the package is asked."""
    return range(first, until + 1, round(interval * 1000))


def worker_runs(log: Path) -> list[Occurrence]:
    """What the worker wrote down, copies included."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(line["entry"], line["due_at"]) for line in lines]


def tally(
    records: Iterable, first_due: Mapping[str, int], intervals: Mapping[str, float], until: int, runs: list[Occurrence]
) -> list[Row]:
    """One row per entry.

    ``until`` is the store's time once both beats had ended. A due time has been missed if no run of it was seen,
    and neither the store's count of skipped ones nor its next due time accounts for it.
    """
    ran = Counter(runs)
    rows = []
    for record in sorted(records, key=lambda record: intervals[record.spec.name]):
        name = record.spec.name
        expected = due_times(first_due[name], intervals[name], until)
        not_taken_up = [due_at for due_at in expected if due_at >= record.due_at]
        never_ran = [due_at for due_at in expected if due_at < record.due_at and (name, due_at) not in ran]
        rows.append(
            Row(
                entry=name,
                expected=len(expected),
                used_up=record.counters.started,
                skipped=record.counters.skipped,
                open=len(not_taken_up),
                ran=sum(count for (entry, _), count in ran.items() if entry == name),
                missed=max(0, len(never_ran) - record.counters.skipped),
                doubled=sum(count - 1 for (entry, _), count in ran.items() if entry == name),
            )
        )
    return rows

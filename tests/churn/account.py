"""What the writers say against what the store has and what ran. Nothing here asks the package anything.

All processes share one host, hence one clock. A change took effect at some moment between its start and its end; so
of two that do not overlap it is known which was the later one, and the state in the end must be that of a change
which no other one certainly followed. Each function answers complaints, none if all is well. Times in milliseconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.churn.plan import kind_of

#: Instants in a store are whole milliseconds.
ROUNDING = 1


@dataclass(frozen=True)
class Change:
    """One call of a writer. ``done`` False: there was no such entry. ``change`` is also the argument of its task."""

    verb: str
    name: str
    change: str
    start: float
    end: float
    done: bool
    generation: str = ""
    next_due: int | None = None
    paused: str | None = None
    interval: int = 0

    @property
    def defines(self) -> bool:
        return self.done and self.verb in ("schedule", "remove")


@dataclass(frozen=True)
class Ran:
    """One run as its worker saw it begin, at ``at``."""

    name: str
    generation: str
    due_at: int
    change: str
    at: float

    @property
    def occurrence(self) -> tuple[str, int]:
        return self.name, self.due_at


@dataclass(frozen=True)
class Final:
    """An entry in the end, or None in its place."""

    generation: str
    change: str
    paused: str | None


def by_name(changes: Iterable[Change]) -> dict[str, list[Change]]:
    """The changes that were done, of each name."""
    found = defaultdict(list)
    for change in changes:
        if change.done:
            found[change.name].append(change)
    return found


def last(changes: Iterable[Change]) -> list[Change]:
    """Those that no other one certainly followed."""
    among = list(changes)
    latest_start = max((change.start for change in among), default=0.0)
    return [change for change in among if change.end >= latest_start]


def wrong_definitions(changes: Iterable[Change], final: Mapping[str, Final]) -> list[str]:
    """Definitions that are not those of the last write."""
    done, wrong = by_name(changes), []
    for name in {*done, *final}:
        there = final.get(name)
        said = None if there is None else (there.generation, there.change)
        writes = last(change for change in done[name] if change.defines)
        possible = [None if change.verb == "remove" else (change.generation, change.change) for change in writes]
        if said not in (possible or [None]):
            wrong.append(f"{name} is {said}, and the last of its writers said {possible}")
    return wrong


def wrong_pauses(changes: Iterable[Change], final: Mapping[str, Final]) -> list[str]:
    """Pauses that are not those of the last pause, resume or removal."""
    done, wrong = by_name(changes), []
    for name, there in final.items():
        writes = [change for change in done[name] if change.verb != "schedule"]
        sure = last(change for change in writes if not _outrun(change, done[name]))
        possible = {change.change if change.verb == "pause" else None for change in (*last(writes), *sure)} or {None}
        if there.paused not in possible:
            wrong.append(f"{name} is paused by {there.paused}, not by one of {possible}")
    return wrong


def _outrun(removal: Change, others: Iterable[Change]) -> bool:
    """A removal that met a new definition may have left that alone, with its pause."""
    return removal.verb == "remove" and any(
        other.verb == "schedule" and other.start <= removal.end and other.end >= removal.start for other in others
    )


def ghosts(changes: Iterable[Change], runs: Iterable[Ran]) -> list[str]:
    """Runs of definitions that nobody made, with other arguments, or due after their definition was gone."""
    done, wrong = by_name(changes), []
    made = {change.generation: change for each in done.values() for change in each if change.verb == "schedule"}
    gone = {
        generation: min(
            (other.end for other in done[change.name] if other.defines and other.start > change.end),
            default=float("inf"),
        )
        for generation, change in made.items()
    }
    for run in runs:
        definition = made.get(run.generation)
        if definition is None or (definition.name, definition.change) != (run.name, run.change):
            wrong.append(f"nobody scheduled {run}")
        elif run.due_at > gone[run.generation] + ROUNDING:
            wrong.append(f"{run} was due after its definition was replaced or removed, at {gone[run.generation]}")
    return wrong


def in_pauses(changes: Iterable[Change], runs: Iterable[Ran]) -> list[str]:
    """Runs that began, and were due, while their entry was paused for sure."""
    pauses = defaultdict(list)
    for name, done in by_name(changes).items():
        for pause in (change for change in done if change.verb == "pause"):
            ends = [c.start for c in done if c.verb in ("resume", "remove") and c.end >= pause.start]
            pauses[name].append((pause.end + ROUNDING, min(ends, default=float("inf"))))
    return [
        f"{run} ran in the pause {pause}"
        for run in runs
        for pause in pauses[run.name]
        if pause[0] < run.due_at and run.at < pause[1]
    ]


def expected(changes: Iterable[Change], until: float) -> set[tuple[str, int]]:
    """What must have been due up to a moment: all of steady names, and of others since their last change.

    A change that another one overlaps tells nothing, except for steady names: theirs all keep to the same times.
    """
    due = set()
    for name, done in by_name(changes).items():
        if kind_of(name).steady:
            first, interval = _first(done)
            due |= {(name, at) for at in range(first, int(until) + 1, interval)}
            continue
        newest = max(done, key=lambda change: change.end)
        if newest.verb != "schedule" or newest.paused is not None or newest.next_due is None or last(done) != [newest]:
            continue
        step = newest.interval if newest.next_due > newest.end else int(until)  # one that was due already, then anew
        due |= {(name, at) for at in range(newest.next_due, int(until) + 1, step)}
    return due


def _first(done: Iterable[Change]) -> tuple[int, int]:
    """The first due time of a steady name, and its interval."""
    return min((change.next_due, change.interval) for change in done if change.next_due is not None)


def off_their_times(changes: Iterable[Change], runs: Iterable[Ran]) -> list[str]:
    """Runs of steady names at times that are none of theirs."""
    known = {name: _first(done) for name, done in by_name(changes).items() if kind_of(name).steady}
    return [
        f"{run} is not due every {known[run.name][1]} ms from {known[run.name][0]}"
        for run in runs
        if kind_of(run.name).steady and (run.due_at - known[run.name][0]) % known[run.name][1]
    ]


def copies(runs: Iterable[Ran]) -> list[tuple[str, int]]:
    """Occurrences that ran more than once, as often as they did so too often."""
    counted = Counter(run.occurrence for run in runs)
    return [occurrence for occurrence, count in counted.items() for _ in range(count - 1)]

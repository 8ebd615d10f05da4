"""What the Schedules page may be about, as its address says it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

SIZE = 25
MOST = 200


class View(str, enum.Enum):
    """One tab of the page."""

    ALL = "all"
    """Every entry."""
    RUNNING = "running"
    """Entries with a run that a worker has the lease of."""
    PAUSED = "paused"
    """Entries at rest."""
    DEAD = "dead"
    """One-offs that were given up, and kept."""
    PARKED = "parked"
    """Messages that wait in the delay queue for their ETA."""


TITLES = {
    View.ALL: "All",
    View.RUNNING: "Running",
    View.PAUSED: "Paused",
    View.DEAD: "Dead letters",
    View.PARKED: "Parked messages",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be listed. ``search`` is how a name begins, or ``task:`` or ``queue:`` and a name in full."""

    view: View = View.ALL
    search: str = ""
    cursor: str | None = None
    size: int = SIZE

    @property
    def task(self) -> str | None:
        return self._after("task:")

    @property
    def queue(self) -> str | None:
        return self._after("queue:")

    @property
    def prefix(self) -> str:
        """How the name begins; empty where the search is about something else."""
        return "" if self.task or (self.queue and self.view is View.PARKED) else self.search

    def _after(self, word: str) -> str | None:
        return self.search[len(word) :].strip() or None if self.search.startswith(word) else None

    def query(self, **other: object) -> str:
        """The query of the address that says this, or the same with other values."""
        changed: Wish = replace(self, **other)  # type: ignore[arg-type]
        said = {"view": changed.view.value, "search": changed.search, "cursor": changed.cursor, "size": changed.size}
        defaults = {"view": View.ALL.value, "search": "", "cursor": None, "size": SIZE}
        return urlencode({name: value for name, value in said.items() if value != defaults[name]})


def wish_of(given: Mapping[str, str]) -> Wish:
    """What an address asks for; what it says wrong is as if it had not said it."""
    known = {view.value: view for view in View}
    task = given.get("task")
    size = given.get("size", "")
    return Wish(
        view=known.get(given.get("view", ""), View.ALL),
        search=f"task:{task}" if task else given.get("search", ""),
        cursor=given.get("cursor") or None,
        size=min(max(int(size), 1), MOST) if size.isdecimal() and size.isascii() and len(size) < 9 else SIZE,
    )

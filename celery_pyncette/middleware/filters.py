"""What a middleware is for: scheduled runs only, tasks, entries, queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from celery_pyncette.core.errors import ConfigurationError

Patterns = str | Iterable[str] | None


class Selectable(Protocol):
    """What a filter looks at; ``entry`` is None for what no entry has sent."""

    @property
    def task_name(self) -> str: ...

    @property
    def entry(self) -> str | None: ...

    @property
    def queue(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """All of what is given must fit; of several patterns, one. Patterns are those of ``fnmatch``, with upper and lower
    case told apart.
    """

    scheduled: bool = False
    tasks: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, scheduled: bool = False, tasks: Patterns = None, entries: Patterns = None, queues: Patterns = None
    ) -> Filter:
        """:raises ConfigurationError: for what is no pattern, or an empty list, which would fit nothing."""
        return cls(
            scheduled=scheduled,
            tasks=_patterns("tasks", tasks),
            entries=_patterns("entries", entries),
            queues=_patterns("queues", queues),
        )

    def fits_task(self, name: str) -> bool:
        """Whether anything of this task can fit."""
        return not self.tasks or _fits(name, self.tasks)

    @property
    def by_task_alone(self) -> bool:
        """Whether the name of the task decides."""
        return not (self.scheduled or self.entries or self.queues)

    def fits(self, what: Selectable) -> bool:
        """Whether it fits, for a task that does."""
        entry = what.entry
        if entry is None and (self.scheduled or self.entries):
            return False
        if self.entries and not _fits(entry or "", self.entries):
            return False
        return not self.queues or _fits(what.queue or "", self.queues)


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _patterns(field: str, given: Patterns) -> tuple[str, ...]:
    if given is None:
        return ()
    patterns = (given,) if isinstance(given, str) else tuple(given)
    if not patterns or not all(_is_text(pattern) for pattern in patterns):
        raise ConfigurationError(f"{field}={given!r}: a name or pattern, or a list of them")
    return patterns


def _is_text(given: object) -> bool:
    return isinstance(given, str) and given != ""

"""What the shipped middlewares call the occurrence that a run or a dispatch is for."""

from __future__ import annotations

from typing import Protocol

from celery_pyncette.occurrence import CurrentOccurrence


class About(Protocol):
    """A ``TaskRun`` or a ``Dispatch``."""

    @property
    def task_name(self) -> str: ...

    @property
    def occurrence(self) -> CurrentOccurrence | None: ...


def labels_of(what: About) -> dict[str, str | int]:
    """``entry``, ``due_at`` (ISO 8601, UTC) and ``attempt``; nothing for a task that no entry has sent."""
    occurrence = what.occurrence
    if occurrence is None:
        return {}
    return {"entry": occurrence.entry, "due_at": occurrence.due_at.isoformat(), "attempt": occurrence.attempt}


def tags_of(what: About) -> dict[str, str | int]:
    """The same by names that are ours alone, such as ``pyncette.entry``."""
    return {f"pyncette.{name}": value for name, value in labels_of(what).items()}

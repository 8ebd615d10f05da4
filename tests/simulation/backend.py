"""A result backend, as ordinary workers write it and beats read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from celery_pyncette.core.attempts import task_id
from celery_pyncette.core.plans import Backend
from celery_pyncette.core.records import Key, Occurrence, Run


@dataclass(slots=True)
class SimBackend:
    """States by task id: what is said now, and how a task has ended once; what is delivered again starts it anew."""

    known: dict[str, Backend] = field(default_factory=dict)
    ended: dict[str, Backend] = field(default_factory=dict)

    def store(self, one: str, state: Backend) -> None:
        """A worker says so."""
        self.known[one] = state
        if state is not Backend.STARTED:
            self.ended[one] = state

    def states(self, ids: Sequence[str]) -> Mapping[str, Backend | None]:
        """See `engine.results.Results`."""
        return {one: self.known.get(one) for one in ids}

    def says(self, key: Key, run: Run) -> str | None:
        """Whether any attempt of a run has ended, and how."""
        for attempt in range(run.attempt, 0, -1):
            occurrence = Occurrence(key=key, generation=run.generation, due_at=run.due_at, attempt=attempt)
            said = self.ended.get(task_id("sim", occurrence, True))
            if said is not None:
                return said.value.lower()
        return None

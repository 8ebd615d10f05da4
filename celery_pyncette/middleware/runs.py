"""What a middleware around a task is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery_pyncette.middleware.queues import queue_of
from celery_pyncette.occurrence import CurrentOccurrence


class TaskRun:
    """One execution of a task.

    ``task`` is the Celery task, ``request`` its request (``request.id``, ``request.retries``, headers as attributes).
    Arguments are those that the task is called with; injected fixtures are not among them.
    """

    __slots__ = ("_ask", "_occurrence", "request", "task")

    def __init__(self, task: Any, request: Any, occurrence: Callable[[], CurrentOccurrence | None]) -> None:
        """:param occurrence: asked once, when somebody wants to know."""
        self.task = task
        self.request = request
        self._ask: Callable[[], CurrentOccurrence | None] | None = occurrence
        self._occurrence: CurrentOccurrence | None = None

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""
        return tuple(self.request.args or ())

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments, as a copy."""
        return dict(self.request.kwargs or {})

    @property
    def task_name(self) -> str:
        """The name of the task."""
        name: str = self.task.name
        return name

    @property
    def occurrence(self) -> CurrentOccurrence | None:
        """The occurrence of an entry that this run is for; None for a task that no beat of ours has sent."""
        if self._ask is not None:
            self._occurrence, self._ask = self._ask(), None
        return self._occurrence

    @property
    def entry(self) -> str | None:
        """The name of that entry, or None."""
        occurrence = self.occurrence
        return None if occurrence is None else occurrence.entry

    @property
    def queue(self) -> str | None:
        """The queue that the message came through: that of the app with its exchange and routing key, else the
        routing key; None for a task that was called without a broker.
        """
        return queue_of(self.task.app, self.request.delivery_info)

    def __repr__(self) -> str:
        return f"<TaskRun {self.task_name}[{self.request.id}]>"

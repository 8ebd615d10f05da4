"""What a middleware around a dispatch is told, and may change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from celery_pyncette.middleware.queues import queue_of
from celery_pyncette.occurrence import CurrentOccurrence

_ROUTING = ("queue", "exchange", "routing_key")


class Dispatch:
    """One message of an entry, in the beat, about to be handed to the broker.

    Arguments are those of the entry, to be read; a ``BeatLazyFunc`` among them is not evaluated yet.
    """

    __slots__ = ("_app", "_args", "_kwargs", "_options", "occurrence", "task_name")

    def __init__(
        self,
        app: Any,
        task_name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: dict[str, Any],
        occurrence: CurrentOccurrence,
    ) -> None:
        self._app = app
        self.task_name = task_name
        self._args = args
        self._kwargs = kwargs
        self._options = options
        self.occurrence = occurrence

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments."""
        return tuple(self._args or ())

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments, as a copy."""
        return dict(self._kwargs or {})

    @property
    def options(self) -> dict[str, Any]:
        """Those of ``apply_async``, this message's own: what is changed in them goes out with it, and with no other."""
        return self._options

    @property
    def headers(self) -> dict[str, Any]:
        """The headers of the message, to be added to; Pyncette's own among them must stay as they are."""
        headers: dict[str, Any] = self.options["headers"]
        return headers

    @property
    def entry(self) -> str:
        """The name of the entry."""
        return self.occurrence.entry

    @property
    def due_at(self) -> datetime:
        """When it should fire, in UTC."""
        return self.occurrence.due_at

    @property
    def attempt(self) -> int:
        """Which dispatch of the occurrence it is, from 1; a send that failed is the same one when it is tried again."""
        return self.occurrence.attempt

    @property
    def task_id(self) -> str:
        """The id that the task will have."""
        return str(self.options["task_id"])

    @property
    def queue(self) -> str | None:
        """The queue that it will go to, by its options, its task and ``task_routes``, as they are now."""
        task = self._app.tasks.get(self.task_name)
        own = {name: getattr(task, name, None) for name in _ROUTING}
        asked = {**own, **{name: self.options.get(name, own[name]) for name in _ROUTING}}
        given = {name: value for name, value in asked.items() if value is not None}
        route = self._app.amqp.router.route(given, self.task_name, self.args, self.kwargs, task)
        queue, exchange, key = (route.get(name) for name in _ROUTING)
        if exchange is None and key is None:
            return None if queue is None else str(getattr(queue, "name", queue))
        # They win over the queue, which may be no more than the default one.
        exchange = getattr(queue, "exchange", None) if exchange is None else exchange
        key = getattr(queue, "routing_key", None) if key is None else key
        return queue_of(self._app, {"exchange": getattr(exchange, "name", exchange), "routing_key": key})

    def __repr__(self) -> str:
        return f"<Dispatch of {self.entry!r} due {self.due_at.isoformat()}, attempt {self.attempt}: {self.task_name}>"

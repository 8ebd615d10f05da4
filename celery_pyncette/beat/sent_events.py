"""What ``task-sent`` events of dispatched tasks say beyond Celery's: the name of the entry, which Flower then shows."""

from __future__ import annotations

from typing import Any

from celery import Celery

FIELD = "periodic_task_name"


class SentEvents:
    """Makes the dispatcher for the one event of each message, where ``task_send_sent_event`` is on."""

    def __init__(self, app: Celery) -> None:
        # As Celery's own: it publishes with the producer of the message, and so needs no connection.
        self._dispatcher = app.events.Dispatcher(enabled=False)

    def of(self, entry: str) -> NamedSentEvent:
        """The send option ``event_dispatcher`` of a message."""
        return NamedSentEvent(self._dispatcher, entry)


class NamedSentEvent:
    """Stands in the place of an event dispatcher for one message."""

    def __init__(self, dispatcher: Any, entry: str) -> None:
        self._dispatcher = dispatcher
        self._entry = entry

    def publish(self, type: str, fields: dict[str, Any], producer: Any, **options: Any) -> Any:  # noqa: A002
        """Publish an event with one field more."""
        return self._dispatcher.publish(type, {**fields, FIELD: self._entry}, producer, **options)

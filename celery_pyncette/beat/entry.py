"""One occurrence in the shape that Celery's scheduler sends: a ``ScheduleEntry`` made for this one message."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry
from kombu.entity import Exchange, Queue

from celery_pyncette.beat.sent_events import SentEvents
from celery_pyncette.engine.publisher import Outgoing

#: What a deep copy would tear from its connection.
_SHARED = (Queue, Exchange, str, int, float, bool, type(None))


class OccurrenceEntry(ScheduleEntry):  # type: ignore[misc]
    """A ``ScheduleEntry`` whose Celery schedule is made only if somebody looks at it."""

    def __init__(
        self, app: Celery, name: str, task: str, args: Any, kwargs: Any, options: dict[str, Any], schedule: Any
    ) -> None:
        """:param schedule: a function without arguments that answers the Celery schedule."""
        self.app = app
        self.name = name
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.options = options
        self._schedule_of = schedule
        self.last_run_at = None
        self.total_run_count = 0

    @property
    def schedule(self) -> Any:
        """The Celery schedule of the entry."""
        return self._schedule_of()


def entry_of(
    app: Celery,
    message: Outgoing,
    schedule: Callable[[Outgoing], Any],
    declared: Callable[[str, Mapping[str, Any]], bool],
    sent_events: SentEvents | None = None,
) -> OccurrenceEntry:
    """The entry of a message: its own copy of the options, its task id, its ticket.

    :param declared: whether the queue of a task with such options is known to be declared.
    :param sent_events: where Celery sends an event for each message.
    """
    spec, ticket, rules = message.spec, message.ticket, message.rules
    options = {name: _copied(value) for name, value in spec.options.items()}
    headers: Mapping[str, Any] = options.get("headers") or {}
    options["headers"] = {
        **headers,
        "pyncette": ticket.as_header(),
        "periodic_task_name": spec.name,
        "celery_beat_task": True,
    }
    options["task_id"] = ticket.task_id
    if sent_events is not None:
        options["event_dispatcher"] = sent_events.of(spec.name)
    if ticket.aware:
        # The entry's own `expires` is the deadline of the occurrence, which beats and gates know from the record.
        options["expires"] = None if message.expires_in is None else message.expires_in / 1000
        if not rules.gated:
            options["ignore_result"] = False
    if rules.at_most_once:
        # Celery repeats a publish whose answer was lost, and the first one may have arrived.
        options["retry"] = False
    else:
        options.setdefault("retry", False)  # what fails is sent again from its record
    if declared(spec.task, options):
        options["declare"] = []
    return OccurrenceEntry(app, spec.name, spec.task, spec.args, spec.kwargs, options, lambda: schedule(message))


def _copied(value: Any) -> Any:
    return value if isinstance(value, _SHARED) else copy.deepcopy(value)

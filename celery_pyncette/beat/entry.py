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
    """A ``ScheduleEntry`` whose Celery schedule is made only if somebody looks at it.

    ``own_headers`` and ``own_options`` are what the beat has put among its options, and needs there.
    """

    def __init__(
        self,
        app: Celery,
        message: Outgoing,
        options: dict[str, Any],
        own_headers: Mapping[str, Any],
        own_options: Mapping[str, Any],
        schedule: Callable[[Outgoing], Any],
    ) -> None:
        """:param schedule: answers the Celery schedule of a message."""
        self.app = app
        self.name = message.spec.name
        self.task = message.spec.task
        self.args = message.spec.args
        self.kwargs = message.spec.kwargs
        self.options = {**options, **own_options, "headers": {**(options.get("headers") or {}), **own_headers}}
        self.own_headers = own_headers
        self.own_options = own_options
        self.message = message
        self._schedule_of = schedule
        self.last_run_at = None
        self.total_run_count = 0

    @property
    def schedule(self) -> Any:
        """The Celery schedule of the entry."""
        return self._schedule_of(self.message)


def entry_of(
    app: Celery,
    message: Outgoing,
    schedule: Callable[[Outgoing], Any],
    sent_events: SentEvents | None = None,
) -> OccurrenceEntry:
    """The entry of a message: its own copy of the options, its task id, its ticket.

    :param sent_events: where Celery sends an event for each message.
    """
    spec, ticket, rules = message.spec, message.ticket, message.rules
    options = {name: _copied(value) for name, value in spec.options.items()}
    headers = {"pyncette": ticket.as_header(), "periodic_task_name": spec.name, "celery_beat_task": True}
    own: dict[str, Any] = {"task_id": ticket.task_id}
    if sent_events is not None:
        own["event_dispatcher"] = sent_events.of(spec.name)
    if ticket.aware:
        # The entry's own `expires` is the deadline of the occurrence, which beats and gates know from the record.
        own["expires"] = None if message.expires_in is None else message.expires_in / 1000
        if not rules.gated:
            own["ignore_result"] = False
    if rules.at_most_once:
        # Celery repeats a publish whose answer was lost, and the first one may have arrived.
        own["retry"] = False
    else:
        options.setdefault("retry", False)  # what fails is sent again from its record
    return OccurrenceEntry(app, message, options, headers, own, schedule)


def _copied(value: Any) -> Any:
    return value if isinstance(value, _SHARED) else copy.deepcopy(value)

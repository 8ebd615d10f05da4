"""Parked messages out of the beat: published as they were, without their ETA, over the beat's own connection."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery

from celery_pyncette.beat.broker import Broker
from celery_pyncette.clock import Clock
from celery_pyncette.core.instants import Instant, datetime_of
from celery_pyncette.core.records import Record, Skip
from celery_pyncette.declarations import entity_of
from celery_pyncette.engine.parking import PREFIX, identity, unpack
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.events import Event, Skipped

logger = logging.getLogger(__name__)

#: What a worker says of a task that came too late; ``backend.py`` reads it as such.
EXPIRED = "expired"


class ParkedMessages:
    """Publishes what was parked; used by one thread.

    What they need is declared once per connection: kombu would look again at each message.
    """

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._producer: Any = None
        self._declared: set[str] = set()

    def publish(self, outgoing: Outgoing, producer: Any) -> None:
        """Hand one message to the broker; raises whatever the transport does.

        :raises ValueError: if the record holds no message that can be read.
        """
        message = unpack(outgoing.record.body or b"")
        wanted = {repr(one): one for one in message.declare}
        if producer is not self._producer:
            self._producer, self._declared = producer, set()
        new = {text: one for text, one in wanted.items() if text not in self._declared}
        headers, sending = dict(message.headers), dict(message.sending)
        end = outgoing.record.spec.end
        if outgoing.ticket.aware:
            # Its expiry is the deadline of the run, which beats and gates know from the record.
            end = None if outgoing.expires_in is None else Instant(self._clock.now() + outgoing.expires_in)
            headers["pyncette"] = outgoing.ticket.as_header()
            headers["expires"] = None if end is None else datetime_of(end).isoformat()
        if end is not None:
            sending["expiration"] = max(0, end - self._clock.now()) / 1000
        producer.publish(
            message.body,
            headers=headers,
            declare=[entity_of(one) for one in new.values()],
            retry=False,  # what fails is sent again from its record
            **sending,
        )
        self._declared |= new.keys()
        self._broker.used()


def task_id_of(record: Record) -> str:
    """The id that the caller was given when the message was parked."""
    return identity(record.key)[0]


class TooLate:
    """An observer that tells the result backend of parked messages that expired before any beat could send them."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def see(self, event: Event) -> None:
        """Store REVOKED, as a worker does of an expired message; nobody else would ever say anything."""
        if not isinstance(event, Skipped) or not event.key.startswith(PREFIX) or event.reason != Skip.DEADLINE.value:
            return
        task_id, _ = identity(event.key)
        backend: Any = self._app.backend
        if getattr(self._app.tasks.get(event.task), "ignore_result", False):
            return
        try:
            backend.mark_as_revoked(task_id, EXPIRED)
        except Exception as error:  # noqa: BLE001 - backends raise what they like, and dispatching goes on
            logger.warning("revoked_unsaid: task %s expired: %s", task_id, error, extra={"task_id": task_id})

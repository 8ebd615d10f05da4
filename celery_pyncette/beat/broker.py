"""The beat's own connection to the broker: bounded in time, confirmed, and proved before it is used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery

from celery_pyncette.clock import Clock

logger = logging.getLogger(__name__)

#: A connection that worked this recently is taken to work; seconds. At most once loses what it sends over a dead one.
_PROVED_FOR = 0.1
_ATTEMPT_EVERY = 1.0
_ROUTING = ("queue", "exchange", "routing_key", "exchange_type")
#: Without these a broker that stops answering would hold the beat for ever. The application's own values win.
_OPTIONS: dict[str, dict[str, Any]] = {
    # Unconfirmed, a burst to a quorum queue may be dropped without a word.
    "amqp": {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10},
    "redis": {"socket_timeout": 10, "socket_connect_timeout": 5},
}


class Broker:
    """One connection for publishing, opened when it is first needed."""

    def __init__(self, app: Celery, producer_class: Any, clock: Clock) -> None:
        self._app = app
        self._producer_class = producer_class
        self._clock = clock
        self._connection: Any = None
        self._producer: Any = None
        self._proved_at = 0.0
        self._failed_at: float | None = None
        self._declared: set[tuple[str | None, ...]] = set()

    @property
    def producer(self) -> Any:
        """The producer; None while there is no connection."""
        return self._producer

    @property
    def pipelines(self) -> bool:
        """Whether the producer can hand over many messages in one round trip (kombu 5.7, Redis)."""
        producer = self._producer
        if producer is None or not hasattr(producer, "batch"):
            return False
        return bool(getattr(producer.channel, "supports_batch_publish", False))

    def ready(self) -> bool:
        """Whether the broker answers; connects, or connects again, if it does not. Never raises."""
        now = self._clock.monotonic()
        if self._producer is not None and now - self._proved_at < _PROVED_FOR:
            return True
        if self._producer is None and self._failed_at is not None and now - self._failed_at < _ATTEMPT_EVERY:
            return False
        return self._proves() or self._connects()

    def connection_errors(self) -> tuple[type[BaseException], ...]:
        """The exceptions of the transport that mean a broken connection or channel."""
        connection = self._connection
        return () if connection is None else (*connection.connection_errors, *connection.channel_errors)

    def declared(self, task: str, options: Mapping[str, Any]) -> bool:
        """Whether a message of this task and options went out over this connection before.

        Then its queue is declared, and kombu need not look again (a fifth of the cost of a send).
        Always False where a route may depend on more than the task's name.
        """
        return "declare" not in options and _address(task, options) in self._declared

    def sent(self, task: str, options: Mapping[str, Any]) -> None:
        """Note that the broker has taken a message."""
        self.used()
        if "declare" in options:
            return
        address = _address(task, options)
        if address is not None and not self._routes_freely():
            self._declared.add(address)

    def _routes_freely(self) -> bool:
        routes = self._app.conf.task_routes
        routes = routes if isinstance(routes, (list, tuple)) else [routes]
        return not all(route is None or isinstance(route, Mapping) for route in routes)

    def used(self) -> None:
        """Note that the broker has just answered."""
        self._proved_at = self._clock.monotonic()

    def drop(self) -> None:
        """Give the connection up; the next :meth:`ready` makes another."""
        connection, self._connection, self._producer = self._connection, None, None
        self._declared.clear()
        if connection is not None:
            try:
                connection.collect(socket_timeout=1)
            except Exception as error:  # noqa: BLE001 - transports raise what they like
                logger.debug("broker_drop_failed: %r", error, extra={"error": str(error)})

    def _proves(self) -> bool:
        if self._producer is None:
            return False
        try:
            _ask(self._connection, self._producer.channel)
        except Exception as error:  # noqa: BLE001 - transports raise what they like
            logger.info("broker_connection_stale", extra={"error": str(error)})
            self.drop()
            return False
        self.used()
        return True

    def _connects(self) -> bool:
        try:
            connection = self._app.connection_for_write()
            for name, value in _OPTIONS.get(connection.get_transport_cls().driver_type, {}).items():
                connection.transport_options.setdefault(name, value)
            self._connection = connection.ensure_connection(max_retries=1, interval_start=0)
            self._producer = self._producer_class(self._connection, auto_declare=False)
        except Exception as error:  # noqa: BLE001 - transports raise what they like
            level = logging.WARNING if self._failed_at is None else logging.DEBUG
            self._failed_at = self._clock.monotonic()
            logger.log(level, "broker_unreachable: %s", error, extra={"error": str(error)})
            self.drop()
            return False
        self._failed_at = None
        self.used()
        return True


def _address(task: str, options: Mapping[str, Any]) -> tuple[str | None, ...] | None:
    """What a route is made of; None where it holds more than names."""
    if options.keys().isdisjoint(_ROUTING):
        return (task,)
    address = (task, *(options.get(name) for name in _ROUTING))
    return address if all(isinstance(part, (str, type(None))) for part in address) else None


def _ask(connection: Any, channel: Any) -> None:
    """One round trip, where the transport has a cheap one."""
    match connection.transport.driver_type:
        case "redis":
            channel.client.ping()
        case "amqp":
            channel.basic_qos(0, 0, False)

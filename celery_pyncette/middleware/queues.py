"""The name of the queue that a message went through; a worker is told only exchange and routing key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def queue_of(app: Any, delivery_info: Mapping[str, Any] | None) -> str | None:
    """The queue of the app with this exchange and routing key, else the routing key.

    Under the exchange without a name, which Celery uses where it can, the routing key is the name of the queue.
    """
    info = delivery_info or {}
    exchange, key = info.get("exchange"), info.get("routing_key")
    if key is None:
        return None
    if exchange:
        for name, queue in app.amqp.queues.items():
            if queue.routing_key == key and queue.exchange is not None and queue.exchange.name == exchange:
                return str(name)
    return str(key)

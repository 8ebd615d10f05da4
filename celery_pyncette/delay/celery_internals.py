"""All of Celery and kombu that is private, or true only by how it is written today; each with its reason, each pinned
by a test (``tests/delay/test_celery_internals.py``) that fails when Celery changes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.utils.time import maybe_iso8601, maybe_make_aware

#: Where ``Celery.send_task`` hands the finished message over, for every way of sending a task: an attribute of
#: ``app.amqp`` that reads queues and defaults once, when it is first looked at.
SENDER = "send_task_message"
#: What Celery makes ``app.control`` of unless the app says otherwise.
STOCK_CONTROL = "celery.app.control:Control"


def when_an_app_is_finalized(callback: Callable[[Celery], object]) -> None:
    """Have every app of this process given to ``callback``, also the one that a spawned child unpickles.

    ``connect_on_app_finalize`` is private; the public signals belong to one app.
    """
    from celery._state import connect_on_app_finalize

    connect_on_app_finalize(callback)


def serialised(
    producer: Any, body: Any, sending: dict[str, Any], headers: dict[str, Any]
) -> tuple[bytes, str | None, str | None]:
    """Body, content type and encoding as ``producer.publish`` would send them; it may add to ``headers``.

    ``Producer._prepare`` is what ``publish`` does first, and nothing public does the same: it serialises with the
    producer's own default, and compresses. ``sending`` loses what is used up by it.
    """
    compression = sending.pop("compression", None)
    text, content_type, content_encoding = producer._prepare(
        body,
        sending.pop("serializer", None),
        sending.pop("content_type", None),
        sending.pop("content_encoding", None),
        producer.compression if compression is None else compression,
        headers,
    )
    if isinstance(text, str):
        # Transports and py-amqp encode text so.
        text = text.encode(content_encoding if content_encoding not in (None, "binary") else "utf-8")
    return bytes(text), content_type, content_encoding


def is_of_pool(app: Celery, producer: Any) -> bool:
    """Whether a producer has a connection of the app's own pool; a pooled one knows by ``_pool`` where it belongs."""
    pool = getattr(getattr(producer, "__connection__", None), "_pool", None)
    return pool is not None and pool is app.pool


def moment_of(app: Celery, text: Any) -> Any:
    """An ETA or expiry as a worker reads it: ISO 8601 text or a datetime, in UTC if it has no zone.

    :raises ValueError, TypeError: for what a worker could not read either.
    """
    return maybe_make_aware(maybe_iso8601(text), tz=app.conf.timezone)


def sends_protocol_two(app: Celery) -> bool:
    """Whether messages have their task id and retries in headers."""
    return bool(app.conf.task_protocol == 2)

"""What the result backend is told of a parked message that was revoked."""

from __future__ import annotations

import json
import logging
from typing import Any

from celery import Celery
from celery.app.task import Context

from celery_pyncette.core.records import Record
from celery_pyncette.engine.parking import Message, unpack

logger = logging.getLogger(__name__)

REASON = "revoked"


def say_revoked(app: Celery, record: Record) -> None:
    """Store REVOKED as a worker would; the chord that a message is part of is told too.

    Of a run that is going on the worker has the last word: it hears of the revoke as well.
    """
    if record.run is not None and not record.run.is_open:
        return
    try:
        message = unpack(record.body or b"")
    except ValueError:
        return
    request = Context({**message.headers, "chord": _chord_of(message)})
    backend: Any = app.backend
    stores = not message.headers.get("ignore_result")
    backend.mark_as_revoked(message.headers["id"], REASON, request=request, store_result=stores)
    logger.info("revoked: parked message %s", record.key, extra={"key": record.key, "task": record.spec.task})


def _chord_of(message: Message) -> Any:
    """The chord that a task is part of; it stands in the body, which is read only where that is harmless: JSON."""
    if message.sending.get("content_type") != "application/json" or message.headers.get("compression"):
        return None
    try:
        return json.loads(message.body)[2].get("chord")
    except (ValueError, LookupError, AttributeError, TypeError):
        return None

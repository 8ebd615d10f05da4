"""Log records as JSON, one object a line, with fields that stay the same.

::

    from celery.signals import after_setup_logger
    from celery_pyncette.observe.json_logs import JsonFormatter

    @after_setup_logger.connect
    def as_json(logger, **_):
        for handler in logger.handlers:
            handler.setFormatter(JsonFormatter())
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from celery_pyncette.core.instants import Instant, show

#: What every record of ``logging`` has; everything else on it came as ``extra``.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_INSTANTS = ("due_at", "until")


class JsonFormatter(logging.Formatter):
    """``time``, ``level``, ``logger``, ``message``; ``name`` of our events; then their fields as they are.

    Fields are ``event``, ``entry``, ``task``, ``due_at``, ``owner``, ``token`` and what else the event has. Points in
    time are ISO 8601 in UTC. What is no JSON is shown as text.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        message = record.getMessage()
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        if record.name.partition(".")[0] == "celery_pyncette":
            said["name"] = message.partition(":")[0].partition(" ")[0]
        said.update(_extras(vars(record)))
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str, ensure_ascii=False)


def _extras(fields: Mapping[str, Any]) -> dict[str, Any]:
    extras = {name: value for name, value in fields.items() if name not in _OWN}
    for name in _INSTANTS:
        if isinstance(extras.get(name), int):
            extras[name] = show(Instant(extras[name]))
    return extras

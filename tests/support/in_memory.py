"""An app in this process, over a broker and a store in memory; messages as they lie there."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from celery import Celery

from celery_pyncette.apps import forget
from celery_pyncette.client.desk import desk_of
from celery_pyncette.events import Event


class Seen:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def see(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class AppInMemory:
    """``seen`` is to be added to somebody's observers."""

    def __init__(self, conf: Mapping[str, Any], main: str = "proj") -> None:
        self.name = secrets.token_hex(4)
        self.app = Celery(main, broker=f"memory://{self.name}", backend="cache+memory://", set_as_current=False)
        own = {"pyncette_store_url": f"memory://{self.name}", "task_default_queue": f"q-{self.name}"}
        self.app.conf.update({**own, **conf})
        self.seen = Seen()

    @property
    def queue(self) -> str:
        return str(self.app.conf.task_default_queue)

    def waiting(self, queue: str | None = None) -> list[dict[str, Any]]:
        """Take the messages out of a queue of the broker."""
        found = []
        with self.app.connection_for_read() as connection:
            channel = connection.default_channel
            while True:
                try:
                    found.append(json.loads(json.dumps(channel._get(queue or self.queue), default=str)))
                except Exception:  # the transport's Empty, or a queue that nobody has declared
                    return found

    def close(self) -> None:
        forget(self.app)
        desk_of(self.app).close()

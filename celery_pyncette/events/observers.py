"""Who listens to events: any number of Observers, and one that raises never disturbs the engine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from celery_pyncette.events.event import Event

#: A name of its own, not this module's: it is in log lines, and in the configuration of who filters them.
logger = logging.getLogger("celery_pyncette.events")


class Observer(Protocol):
    """Something that listens."""

    def see(self, event: Event) -> None:
        """Take note of an event; quickly, because the engine waits."""


class Observers:
    """Fan-out to any number of observers."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        self._observers.append(observer)

    def see(self, event: Event) -> None:
        for observer in self._observers:
            try:
                observer.see(event)
            except Exception:
                logger.exception("observer_failed", extra={"observer": type(observer).__name__})

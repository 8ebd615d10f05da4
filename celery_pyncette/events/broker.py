"""The broker: whether it can be reached, what is handed to it."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLost(Event):
    """The broker cannot be reached; nothing is claimed until it is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerBack(Event):
    """The broker answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishBegan(Event):
    """Messages of these tasks are handed to the broker; ``PublishEnded`` ends it."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishEnded(Event):
    """The broker has, or may have, ``sent`` of these messages; the others have failed."""

    tasks: tuple[str, ...]
    seconds: float
    sent: int

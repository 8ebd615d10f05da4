"""HTTP, in and out: the address at which a beat answers, the URLs that it calls."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUp(Event):
    """The beat answers HTTP at this address."""

    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDown(Event):
    """The beat cannot answer HTTP; it works all the same, and tries again."""

    address: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinged(Event):
    """A URL was called for an entry; ``result`` is sent, failed or dropped. The URL is a secret: ``host`` is not."""

    entry: str
    occasion: str
    host: str
    result: str
    error: str = ""

"""Times and durations in a few characters, and as JSON; text that is safe on a terminal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from celery_pyncette.core.instants import NEVER, Instant, show

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def moment(instant: Instant | None) -> str:
    """An instant in UTC, milliseconds only where there are some: ``2026-03-29T01:00:00Z``."""
    return show(instant).replace(".000Z", "Z")


def brief(ms: int) -> str:
    """A duration by its two largest units: ``1 h 5 m``, ``12 s``; ``1.2 s`` and ``12 ms`` where it is short."""
    ms = abs(ms)
    if ms < 1_000:
        return f"{ms} ms"
    if ms < 10_000:
        return f"{ms // 100 / 10:g} s"
    for (unit, size), (lesser, small) in pairwise(_UNITS):
        if ms >= size:
            count, rest = ms // size, ms % size // small
            return f"{count} {unit} {rest} {lesser}" if rest else f"{count} {unit}"
    return f"{ms // 1_000} s"


def distance(instant: Instant | None, now: Instant) -> str:
    """How far away it is: ``in 5 m``, ``3 s ago``, ``now``; empty where there is no time."""
    if instant is None or instant >= NEVER:
        return ""
    if abs(instant - now) < 1_000:
        return "now"
    whole = abs(instant - now) // 1_000 * 1_000
    return f"in {brief(whole)}" if instant > now else f"{brief(whole)} ago"


def times(name: str, instant: Instant | None) -> dict[str, Any]:
    """An instant under two keys of a JSON document: ISO 8601, and milliseconds; null where there is none."""
    known = instant if instant is not None and instant < NEVER else None
    return {name: None if known is None else show(known), f"{name}_ms": known}


def safe(text: str) -> str:
    """Text of others without anything that moves a cursor, hides, or turns the writing direction."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)

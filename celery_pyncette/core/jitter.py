"""Positive delays that spread what would fall due at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.every import positive_milliseconds
from celery_pyncette.core.frame import Frame, Schedule
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.passed import last_within

Spread = Literal["random", "hash"]


@dataclass(frozen=True, slots=True, init=False)
class Jitter:
    """A delay from ``[0, window)``, the same for every beat that works it out.

    :param window: seconds or a ``timedelta``, kept as ``window_ms``.
    :param spread: ``random``: another delay for each occurrence, drawn from the entry's name and the due time;
        ``hash``: one stable delay per entry, drawn from its name.
    :raises InvalidEntry: for field ``jitter``.
    """

    window_ms: int
    spread: Spread

    def __init__(self, window: int | float | timedelta, spread: Spread = "random") -> None:
        object.__setattr__(self, "window_ms", positive_milliseconds("jitter", window))
        if spread not in ("random", "hash"):
            raise InvalidEntry("jitter", spread, "spread must be 'random' or 'hash'")
        object.__setattr__(self, "spread", spread)

    def delay(self, occurrence: Instant, following: Instant, frame: Frame) -> int:
        """The delay of an occurrence in milliseconds: less than the window, and than the gap to the next one."""
        window = min(self.window_ms, following - occurrence)
        seed = frame.name if self.spread == "hash" else f"{occurrence} {frame.name}"
        digest = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") * window >> 64


def jitter_to_data(jitter: Jitter) -> dict[str, Any]:
    """A jitter as JSON values."""
    return {"ms": jitter.window_ms, "spread": jitter.spread}


def jitter_from_data(data: Any) -> Jitter:
    """What ``jitter_to_data`` was given.

    :raises InvalidEntry: for anything that it never gives.
    """
    if not isinstance(data, dict) or set(data) != {"ms", "spread"} or type(data["ms"]) is not int:
        raise InvalidEntry("jitter", data, "is not the stored form of a jitter")
    return Jitter(_span(data["ms"]), data["spread"])


def _span(ms: int) -> timedelta:
    try:
        return timedelta(milliseconds=ms)
    except OverflowError:
        raise InvalidEntry("jitter", ms, "is too long") from None


@dataclass(frozen=True, slots=True)
class Jittered:
    """A schedule whose due times are those of another one, each delayed; none is lost, and their order stays."""

    schedule: Schedule
    jitter: Jitter

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first delayed due time strictly after ``moment``, which may belong to an occurrence before it."""
        previous = last_within(self.schedule, Instant(moment - self.jitter.window_ms), moment, frame)
        if previous is not None:
            due = self._delayed(previous, frame)
            if due > moment:
                return due
        following = self.schedule.next_after(moment, frame)
        return NEVER if following == NEVER else self._delayed(following, frame)

    def _delayed(self, occurrence: Instant, frame: Frame) -> Instant:
        return Instant(occurrence + self.jitter.delay(occurrence, self.schedule.next_after(occurrence, frame), frame))

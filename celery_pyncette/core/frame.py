"""What a schedule is asked, and the frame it is asked in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol

from celery_pyncette.core.instants import Instant


@dataclass(frozen=True, slots=True)
class Frame:
    """What a schedule needs to know of its entry, and keeps no copy of.

    :param zone: the entry's time zone; any hashable ``tzinfo``, a ``ZoneInfo`` as a rule.
    :param name: the entry's name, from which ``H`` fields and jitter are drawn.
    :param anchor: the instant that intervals are counted from. An entry whose first due time
        shall be ``start`` itself is anchored at ``start`` minus its interval.
    """

    zone: tzinfo
    name: str
    anchor: Instant


class Schedule(Protocol):
    """A rule that yields due times; a value, and a pure function of its arguments."""

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first due time strictly after ``moment``; ``NEVER`` if there is none, in bounded time."""
        ...

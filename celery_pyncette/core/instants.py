"""Points in time: integer milliseconds since 1970-01-01 UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import NewType

Instant = NewType("Instant", int)

#: Later than every real time. Below 2**53, so that Lua and JSON hold it exactly.
NEVER = Instant(9_007_199_254_740_991)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


def instant_of(moment: datetime) -> Instant:
    """The instant of an aware ``datetime``, rounded down to the millisecond.

    :raises ValueError: for a naive one; nobody knows which moment it means.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; add one")
    return Instant((moment - _EPOCH) // _MILLISECOND)


def datetime_of(instant: Instant) -> datetime:
    """The UTC ``datetime`` of an instant.

    :raises OverflowError: for ``NEVER``, which no ``datetime`` can hold.
    """
    return _EPOCH + instant * _MILLISECOND


def show(instant: Instant | None) -> str:
    """An instant as ISO 8601 with milliseconds and ``Z``; ``never`` and ``-`` for ``NEVER`` and None."""
    if instant is None:
        return "-"
    if instant >= NEVER:
        return "never"
    return datetime_of(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(duration: int | float | timedelta) -> int:
    """A duration in seconds, or a ``timedelta``, as whole milliseconds (rounded to the nearest)."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return round(seconds * 1000)

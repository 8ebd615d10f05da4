"""Which occurrence a message is for, as the code of a task or a middleware is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentOccurrence:
    """Which occurrence a task runs for.

    ``due_at`` is the nominal time, in UTC; ``attempt`` counts dispatches from 1. ``token`` grows with
    each start of the entry: a resource that remembers the highest one can refuse a writer whose lease
    is another's by now. It is None where no lease was taken: the entry is not result-aware, or the beat
    has another store.
    """

    entry: str
    due_at: datetime
    attempt: int
    token: int | None


def moment(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a point in time, in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)

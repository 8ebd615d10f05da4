"""What Celery's own options and settings say about time: expiry, hard limit, starting deadline; in milliseconds."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from numbers import Real
from typing import Any

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import instant_of, milliseconds
from celery_pyncette.core.policies import check_duration

_LONGEST = 3_000_000_000_000


def expiry(value: Any, zone: tzinfo, entry: str | None = None) -> tuple[int | None, int | None]:
    """``options["expires"]`` as (milliseconds after the first dispatch, instant); one of them, or neither, is set.

    As Celery reads it: a number or ``timedelta`` is relative, a ``datetime`` or ISO 8601 string absolute, in the
    app's zone if it has none. What is negative has passed at once.

    :raises InvalidEntry: for anything else, also for a string that holds a number, which Celery cannot send either.
    """
    if value is None:
        return None, None
    if isinstance(value, str):
        value = _parsed(value, entry)
    if isinstance(value, datetime):
        return None, instant_of(value if value.tzinfo is not None else value.replace(tzinfo=zone))
    if isinstance(value, Real):
        value = float(value)
    if isinstance(value, (float, timedelta)):
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        if abs(seconds) * 1000 < _LONGEST:
            return max(0, milliseconds(seconds)), None
    raise InvalidEntry("options.expires", value, "must be seconds, a timedelta, or a datetime", entry)


def hard_limit_of(*candidates: Any) -> int | None:
    """The first hard time limit that is set, in milliseconds: that of the options, the task, the configuration."""
    for limit in candidates:
        if isinstance(limit, (int, float)) and not isinstance(limit, bool) and limit > 0:
            return milliseconds(limit)
    return None


def cron_deadline_of(value: Any) -> int | None:
    """``beat_cron_starting_deadline`` (seconds) as milliseconds. :raises InvalidEntry: for what is no duration."""
    return None if value is None else check_duration("beat_cron_starting_deadline", value, zero=True)


def _parsed(text: str, entry: str | None) -> datetime:
    from celery.utils.time import maybe_iso8601

    try:
        moment: datetime = maybe_iso8601(text)
    except ValueError:
        rule = "must be seconds, a timedelta, a datetime, or such a time as a string in ISO 8601"
        raise InvalidEntry("options.expires", text, rule, entry) from None
    return moment

"""The fields of Celery's crontab."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from celery_pyncette.core.dates import Dates
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.pattern import Pattern, mask_of
from celery_pyncette.core.timeline import zone_named


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """The sets of a Celery ``crontab``: an occurrence must match every one of them, both day fields included.

    :param minute: 0 to 59; ``hour``: 0 to 23; ``day_of_month``: 1 to 31; ``month``: 1 to 12;
        ``day_of_week``: 0 (Sunday) to 6. Any iterable of ints is accepted and kept as a frozenset.
    :param wild_minute: whether the minute was written with a leading ``*``
        (``str(crontab._orig_minute).startswith("*")``); always so if it names all 60.
    :param wild_hour: the same for the hour.
    :param timezone: an IANA name that wins over the entry's zone.
    :raises InvalidEntry: for an empty set, or a number out of range.
    """

    minute: frozenset[int] = frozenset(range(60))
    hour: frozenset[int] = frozenset(range(24))
    day_of_month: frozenset[int] = frozenset(range(1, 32))
    month: frozenset[int] = frozenset(range(1, 13))
    day_of_week: frozenset[int] = frozenset(range(7))
    wild_minute: bool = False
    wild_hour: bool = False
    timezone: str | None = None

    def __post_init__(self) -> None:
        for name, first, last in _FIELDS:
            object.__setattr__(self, name, _numbers(name, getattr(self, name), first, last))
        object.__setattr__(self, "wild_minute", bool(self.wild_minute) or len(self.minute) == 60)
        object.__setattr__(self, "wild_hour", bool(self.wild_hour) or len(self.hour) == 24)
        if self.timezone is not None:
            zone_named(self.timezone)

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first due time strictly after ``moment``."""
        zone = frame.zone if self.timezone is None else zone_named(self.timezone)
        return _pattern_of_fields(self).next_after(moment, zone)


_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day_of_month", 1, 31), ("month", 1, 12), ("day_of_week", 0, 6))


def _numbers(name: str, values: Iterable[int], first: int, last: int) -> frozenset[int]:
    numbers = frozenset(values)
    if not numbers or not all(type(number) is int and first <= number <= last for number in numbers):
        raise InvalidEntry("schedule", list(numbers), f"{name} of a crontab must be numbers from {first} to {last}")
    return numbers


@lru_cache(maxsize=4096)
def _pattern_of_fields(fields: CronFields) -> Pattern:
    return Pattern(
        hours=mask_of(fields.hour),
        minutes=mask_of(fields.minute),
        seconds=1,
        wild=fields.wild_minute or fields.wild_hour,
        dates=Dates(
            days=mask_of(fields.day_of_month),
            months=mask_of(fields.month),
            weekdays=mask_of(fields.day_of_week),
            both=True,
        ),
    )

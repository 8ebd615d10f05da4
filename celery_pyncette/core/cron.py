"""Cron strings. croniter reads them; placing them on the time line is ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from croniter import croniter

from celery_pyncette.core.dates import Dates
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.pattern import EVERY_HOUR, EVERY_MINUTE, Pattern, mask_of
from celery_pyncette.core.timeline import zone_named

Seconds = Literal["first", "last"]

#: Expanded here: croniter reads ``@daily`` as a hashed time of day as soon as it is given a name to hash.
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
LONGEST = 256
_EQUAL_ENDS = re.compile(r"(?<![\w#])(\w+)-\1(?:/\d*[1-9]\d*)?(?=,|$)")
_HASHED = re.compile(r"h(\(|/|$)")
_RANDOM = re.compile(r"r(\(|/|$)")


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron string: ``minute hour day-of-month month day-of-week``, or an alias such as ``@daily``.

    Names of months and days, ``L``, ``#`` and ``?`` are understood, ``W`` where croniter does, and ``H``, which is
    hashed on the entry's name (as a day of the month it is one of 1 to 28). If both day fields are restricted,
    either is enough; if one begins with ``*``, both must match (as in Debian's cron, so that ``*/100,1-7 * MON`` is
    the first Monday). For clock changes see ``core/pattern.py``.

    :param seconds: six fields are accepted only with this: ``first`` if the second stands first, ``last``
        if it stands behind the day of the week. A seventh field is the year (1970 to 2099) in both.
    :param timezone: an IANA name that wins over the entry's zone.
    :raises InvalidEntry: for field ``schedule`` or ``timezone``. A string whose dates never come is
        let through, and yields ``NEVER``; ``check`` refuses it.
    """

    expr: str
    seconds: Seconds | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.expr, str):
            raise InvalidEntry("schedule", self.expr, "a cron schedule is a string, as in '30 2 * * *'")
        if self.seconds not in (None, "first", "last"):
            raise InvalidEntry("schedule", self.seconds, "seconds must be 'first', 'last' or None")
        if self.timezone is not None:
            zone_named(self.timezone)
        _refuse_characters(self.expr)
        object.__setattr__(self, "expr", " ".join(self.expr.split()))
        _pattern_of(self.expr, self.seconds, "any" if _has_hashed(self.expr) else None)

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first due time strictly after ``moment``."""
        pattern = _pattern_of(self.expr, self.seconds, frame.name if _has_hashed(self.expr) else None)
        return pattern.next_after(moment, frame.zone if self.timezone is None else zone_named(self.timezone))


def _refuse_characters(expr: str) -> None:
    if len(expr) > LONGEST:
        raise InvalidEntry("schedule", expr, f"a cron string has at most {LONGEST} characters, this one {len(expr)}")
    if not expr.isascii() or not expr.isprintable():
        raise InvalidEntry("schedule", expr, "a cron string consists of ASCII letters, digits, signs and blanks only")


@lru_cache(maxsize=4096)
def _has_hashed(expr: str) -> bool:
    return any(_HASHED.match(field) for field in expr.lower().split())


@lru_cache(maxsize=16384)
def _pattern_of(expr: str, seconds: Seconds | None, name: str | None) -> Pattern:
    fields = _fields_of(expr, seconds)
    texts = dict(zip(_order(len(fields), seconds), fields, strict=True))
    read = _read(expr, [texts[key] for key in _CRONITER_ORDER if key in texts], name)
    hours, minutes = _values(read.expanded[1], EVERY_HOUR), _values(read.expanded[0], EVERY_MINUTE)
    starred = texts["minute"].startswith("*") or texts["hour"].startswith("*")
    return Pattern(
        hours=hours,
        minutes=minutes,
        seconds=_values(read.expanded[5], EVERY_MINUTE) if "second" in texts else 1,
        wild=starred or hours == EVERY_HOUR or minutes == EVERY_MINUTE,
        dates=_dates(read, texts),
    )


_CRONITER_ORDER = ("minute", "hour", "day", "month", "weekday", "second", "year")


def _order(count: int, seconds: Seconds | None) -> tuple[str, ...]:
    if seconds == "first":
        return ("second", *_CRONITER_ORDER[:5], "year")[:count]
    return _CRONITER_ORDER[:count]


def _fields_of(expr: str, seconds: Seconds | None) -> list[str]:
    """The fields in lower case, as many as ``seconds`` asks for."""
    if expr.startswith("@"):
        if seconds is not None or expr.lower() not in ALIASES:
            raise InvalidEntry("schedule", expr, f"must be one of {', '.join(ALIASES)}, and without seconds=")
        return ALIASES[expr.lower()].split()
    fields = expr.lower().split()
    if seconds is None and len(fields) == 6:
        raise InvalidEntry("schedule", expr, _both_readings(fields))
    if len(fields) != 5 if seconds is None else len(fields) not in (6, 7):
        wanted = "5 fields" if seconds is None else f"6 or 7 fields with seconds={seconds!r}"
        raise InvalidEntry("schedule", expr, f"a cron string has {wanted}, this one has {len(fields)}")
    for name, field in zip(_order(len(fields), seconds), fields, strict=True):
        if _RANDOM.match(field):
            raise InvalidEntry("schedule", expr, f"R in the {name} field is drawn anew by each beat; H is stable")
        if name == "year" and _HASHED.match(field):
            raise InvalidEntry("schedule", expr, "H is not accepted as the year")
    return fields


def _both_readings(fields: list[str]) -> str:
    first = f"seconds='first' reads it as '{' '.join(fields[1:])}' at second {fields[0]}"
    last = f"seconds='last' as '{' '.join(fields[:5])}' at second {fields[5]}"
    return f"with six fields say which of them is the second: {first}, {last}"


def _read(expr: str, fields: list[str], name: str | None) -> Any:
    """What croniter makes of the fields, given in its own order.

    Two readings of croniter are not those of cron: ``9-9`` is the one value, not all of them; and ``H`` as a day
    of the month stays within the days that each month has.
    """
    fields = [_EQUAL_ENDS.sub(r"\1", field) for field in fields]
    fields[2] = re.sub(r"^h(?=/|$)", "h(1-28)", fields[2])
    hash_id = None if name is None else name.encode("utf-8", "surrogatepass")
    try:
        return croniter(" ".join(fields), 0.0, hash_id=hash_id)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        said = str(error).replace("\n", " ")[-160:]
        raise InvalidEntry("schedule", expr, f"is not a cron string: {said}") from None


def _values(values: list[Any], everything: int) -> int:
    return everything if "*" in values else mask_of(value for value in values if isinstance(value, int))


def _dates(read: Any, texts: dict[str, str]) -> Dates:
    days, months, weekdays = read.expanded[2:5]
    nth = {(day, 0 if n == "l" else int(n)) for day, ns in read.nth_weekday_of_month.items() for n in ns}
    nearest = tuple(sorted(getattr(read, "nearest_weekday", None) or ()))
    plain = [day for day in weekdays if day not in read.nth_weekday_of_month]
    years = read.expanded[6] if "year" in texts else ["*"]
    return Dates(
        days=0 if nearest else _values(days, (1 << 32) - 2),
        months=_values(months, (1 << 13) - 2),
        weekdays=_values(plain, (1 << 7) - 1),
        both=any(texts[key].startswith(("*", "?")) for key in ("day", "weekday")),
        last_day="l" in days,
        nearest=nearest,
        nth=frozenset(nth),
        years=None if "*" in years else frozenset(year for year in years if isinstance(year, int)),
    )

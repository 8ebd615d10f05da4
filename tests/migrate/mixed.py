"""A thousand entries of all kinds, the same each time: what the makers feed to the real schedulers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

ZONES = ["Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Tokyo"]
CRONTABS = [
    ("0", "3", "*", "*", "*"),
    ("*/5", "*", "*", "*", "*"),
    ("15,45", "9-17", "mon-fri", "*", "*"),
    ("30", "*/2", "*", "*", "*"),
    ("0", "0", "0", "*", "*"),
    ("10", "4", "*", "1", "*"),
    ("59", "23", "*", "28-31", "*"),
    ("0", "12", "1,3", "1-7", "*"),
    ("5", "6", "*", "15", "1,4,7,10"),
    ("0", "1", "*", "29", "2"),
    ("*", "5", "sat", "*", "*"),
]
#: 28 March 2027, 02:30 does not exist in Berlin: the one day of these on which another rule holds here.
GAP = ("30", "2", "*", "28", "3")
EVENTS = ["sunrise", "sunset", "solar_noon", "dawn_civil", "dusk_nautical"]
PERIODS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


@dataclass
class Made:
    """One entry; times are seconds from now, ``last`` in the past, None: it never ran."""

    name: str
    kind: str
    fields: dict[str, Any]
    zone: str = "Europe/Berlin"
    last: float | None = None
    count: int = 0
    enabled: bool = True
    one_off: bool = False
    start: float | None = None
    expires: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


def entries(kinds: tuple[str, ...], number: int = 1000, zones: list[str] | None = None) -> list[Made]:
    """So many entries; every eleventh crontab falls into the gap of a clock change."""
    dice = random.Random(20261124)
    return [_entry(dice, number, kinds, zones or ZONES) for number in range(number)]


def _entry(dice: random.Random, number: int, kinds: tuple[str, ...], zones: list[str]) -> Made:
    kind = dice.choice(kinds)
    made = Made(
        name=f"{kind}-{number}",
        kind=kind,
        fields=_fields(dice, kind),
        zone=dice.choice(zones),
        last=round(dice.uniform(0.5, dice.choice([60, 3_600, 200_000])), 6),
        count=dice.randrange(1, 500),
        args=dice.choice([[], [1, "two"], [{"deep": [1.5, None]}]]),
        kwargs=dice.choice([{}, {"user": number}]),
        options=dice.choice([{}, {"queue": "slow"}, {"priority": 3}, {"expires": 3600}]),
    )
    if kind == "crontab" and number % 11 == 0:
        made.fields, made.zone = _crontab(GAP), "Europe/Berlin"
    return made


def _fields(dice: random.Random, kind: str) -> dict[str, Any]:
    if kind == "interval":
        period = dice.choice(list(PERIODS))
        return {"every": dice.randrange(1, 90), "period": period}
    if kind == "crontab":
        return _crontab(dice.choice(CRONTABS))
    if kind == "solar":
        return {
            "event": dice.choice(EVENTS),
            "latitude": round(dice.uniform(-60, 60), 4),
            "longitude": round(dice.uniform(-180, 180), 4),
        }
    if kind == "rrule":
        return {}
    return {"in": round(dice.uniform(100, 10_000_000), 3)}


def _crontab(line: tuple[str, ...]) -> dict[str, Any]:
    names = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    return dict(zip(names, line, strict=True))


def seconds_of(fields: dict[str, Any]) -> int:
    """How long an interval is."""
    return int(fields["every"]) * PERIODS[fields["period"]]

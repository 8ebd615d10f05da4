"""Sunrise and its like, through ephem."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import NEVER, Instant, datetime_of, instant_of
from celery_pyncette.core.timeline import DAY, LAST

_HOUR = 3_600_000
_ALMOST_A_MILLISECOND = timedelta(microseconds=999)
#: How many days ahead an event is looked for: the polar night is shorter.
_SEARCH_DAYS = 400

#: Event -> (method of ephem, height of the horizon in degrees and minutes, whether the sun's centre counts).
EVENTS = {
    "dawn_astronomical": ("next_rising", "-18", True),
    "dawn_nautical": ("next_rising", "-12", True),
    "dawn_civil": ("next_rising", "-6", True),
    "sunrise": ("next_rising", "-0:34", False),
    "solar_noon": ("next_transit", "0", False),
    "sunset": ("next_setting", "-0:34", False),
    "dusk_civil": ("next_setting", "-6", True),
    "dusk_nautical": ("next_setting", "-12", True),
    "dusk_astronomical": ("next_setting", "-18", True),
}


@dataclass(frozen=True, slots=True)
class Solar:
    """An event of the sun at a place, as Celery's ``solar``; days on which it doesn't happen are passed over.

    :param event: one of ``EVENTS``.
    :param lat: degrees north, -90 to 90. :param lon: degrees east, -180 to 180.
    :raises InvalidEntry: for anything else.
    """

    event: str
    lat: float
    lon: float

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise InvalidEntry("schedule", self.event, f"event must be one of {', '.join(EVENTS)}")
        for name, most in (("lat", 90), ("lon", 180)):
            degrees = getattr(self, name)
            if isinstance(degrees, bool) or not isinstance(degrees, (int, float)) or not abs(degrees) <= most:
                raise InvalidEntry("schedule", degrees, f"{name} must be a number from -{most} to {most}")
            object.__setattr__(self, name, float(degrees))

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        """The first event strictly after ``moment``, rounded up to the millisecond; ``NEVER`` if none in 400 days.

        :raises ConfigurationError: without the package ephem.
        """
        if moment >= LAST:
            return NEVER
        first = (moment - _first_start(self)) // DAY
        for day in range(first, first + _SEARCH_DAYS):
            event = _event_of_day(self, day)
            if event is not None and event > moment:
                return event
        return NEVER


def _first_start(solar: Solar) -> int:
    """Where day 0 starts, six hours or more of mean solar time away from where the event can be."""
    hour = {"next_rising": -6, "next_transit": 0, "next_setting": 6}[EVENTS[solar.event][0]]
    return round((hour - solar.lon / 15) * _HOUR)


@lru_cache(maxsize=4096)
def _event_of_day(solar: Solar, day: int) -> Instant | None:
    """The event between two starts; None if there is none.

    ephem's answer depends by tenths of a second on where the search starts; from a fixed start, an event has one time.
    """
    start = _first_start(solar) + day * DAY
    event = _search(solar, start)
    return None if event is None or event >= start + DAY else Instant(event)


def _search(solar: Solar, start: int) -> int | None:
    ephem = _ephem()
    method, horizon, centre = EVENTS[solar.event]
    observer = ephem.Observer()
    observer.lat, observer.lon = str(solar.lat), str(solar.lon)
    observer.elevation = observer.pressure = 0
    observer.horizon = horizon
    options = {"use_center": True} if centre else {}
    try:
        found = getattr(observer, method)(ephem.Sun(), start=datetime_of(Instant(start)), **options)
    except ephem.CircumpolarError:
        return None
    event: datetime = found.datetime().replace(tzinfo=timezone.utc)
    return instant_of(event + _ALMOST_A_MILLISECOND)


def _ephem() -> Any:
    try:
        import ephem
    except ImportError as error:
        raise ConfigurationError("solar schedules need the package ephem: pip install 'celery[solar]'") from error
    return ephem

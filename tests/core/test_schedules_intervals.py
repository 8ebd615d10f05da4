"""Intervals, single points in time, and the sun."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import schedule as celery_interval
from celery.schedules import solar as celery_solar

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.instants import NEVER, Instant, datetime_of, instant_of
from celery_pyncette.core.schedules import Every, Frame, Once, Solar, check
from celery_pyncette.core.solar import EVENTS

UTC = timezone.utc
APP = Celery("intervals", set_as_current=False)
APP.conf.timezone = "UTC"


@pytest.mark.parametrize(
    ("interval", "moment", "expected"),
    [
        (10, 0, 1010_000),
        (10, 1_000_000, 1_010_000),
        (10, 1_009_999, 1_010_000),
        (10, 1_010_000, 1_020_000),
        (10, 1_019_999, 1_020_000),
        (0.25, 1_000_000, 1_000_250),
        (timedelta(milliseconds=1), 1_000_000, 1_000_001),
        (timedelta(days=1), 90_000_000_000, 1_000_000 + 1042 * 86_400_000),
    ],
)
def test_intervals_are_counted_from_their_anchor(interval: float | timedelta, moment: int, expected: int) -> None:
    frame = Frame(UTC, "an entry", Instant(1_000_000))
    every = Every(interval)
    due = every.next_after(Instant(moment), frame)
    assert (due - 1_000_000) % every.interval_ms == 0
    assert due == expected


def test_intervals_never_drift_and_end_at_never() -> None:
    frame = Frame(UTC, "an entry", Instant(7))
    due = Instant(7)
    for count in range(1, 1000):
        due = Every(0.333).next_after(due, frame)
        assert due == 7 + count * 333
    assert Every(5).next_after(NEVER, frame) == NEVER
    assert Every(5).next_after(Instant(NEVER - 1), frame) == NEVER


@pytest.mark.parametrize(
    "interval",
    [
        0,
        -1,
        0.0,
        -0.5,
        float("nan"),
        float("inf"),
        True,
        False,
        "5",
        None,
        [5],
        0.0004,
        timedelta(0),
        timedelta(days=-1),
        10**400,
        1e300,
        timedelta.max,
    ],
)
def test_bad_intervals_are_refused(interval: object) -> None:
    with pytest.raises(InvalidEntry) as refused:
        Every(interval)  # type: ignore[arg-type]
    assert refused.value.field == "schedule"
    assert refused.value.value is interval


def stock_relative(interval: timedelta, last: datetime) -> Instant:
    stock = celery_interval(interval, relative=True, nowfun=lambda: last, app=APP)
    return instant_of(last.astimezone(UTC) + stock.remaining_estimate(last))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/Santiago"])
@pytest.mark.parametrize(
    "interval",
    [
        timedelta(days=1),
        timedelta(days=2),
        timedelta(hours=36),
        timedelta(days=7),
        timedelta(hours=1),
        timedelta(hours=2),
        timedelta(minutes=90),
        timedelta(minutes=15),
        timedelta(seconds=30),
    ],
)
@pytest.mark.parametrize(
    "start", [datetime(2026, 3, 27, 10, 17, 31), datetime(2026, 10, 23, 22, 50, 3), datetime(2026, 9, 4, 1, 2, 3)]
)
def test_relative_intervals_fall_due_as_in_stock_celery(zone: str, interval: timedelta, start: datetime) -> None:
    anchor = start.replace(tzinfo=ZoneInfo(zone))
    frame = Frame(ZoneInfo(zone), "an entry", instant_of(anchor))
    due, last = instant_of(anchor), anchor
    for _ in range(80):
        due = Every(interval, relative=True).next_after(due, frame)
        assert due == stock_relative(interval, last), (datetime_of(due), last)
        last = datetime_of(due).astimezone(frame.zone)  # a beat that sends in time


def test_relative_days_are_calendar_days_and_a_midnight_that_does_not_exist_is_made_up_for() -> None:
    santiago = ZoneInfo("America/Santiago")
    frame = Frame(santiago, "an entry", instant_of(datetime(2026, 9, 4, 12, tzinfo=santiago)))
    due, seen = frame.anchor, []
    for _ in range(4):
        due = Every(timedelta(days=1), relative=True).next_after(due, frame)
        seen.append(f"{datetime_of(due).astimezone(santiago):%d %H:%M}")
    assert seen == ["05 00:00", "06 01:00", "07 00:00", "08 00:00"]


def test_relative_hours_keep_to_the_clock_where_it_moves_by_half_an_hour() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    frame = Frame(lord_howe, "an entry", instant_of(datetime(2026, 10, 3, 21, 10, tzinfo=lord_howe)))
    due = frame.anchor
    for _ in range(10):
        following = Every(3600, relative=True).next_after(due, frame)
        assert following > due
        assert datetime_of(following).astimezone(lord_howe).minute in (0, 30)
        due = following
    assert datetime_of(due).astimezone(lord_howe).minute == 0


def test_a_point_in_time_is_due_once() -> None:
    frame = Frame(UTC, "an entry", Instant(0))
    at = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    once = Once(at)
    assert once == Once(instant_of(at))
    assert once.next_after(Instant(once.at - 1), frame) == once.at
    assert once.next_after(once.at, frame) == NEVER
    check(once, Instant(once.at + 1), frame)


@pytest.mark.parametrize("at", [datetime(2026, 7, 1, 12), "2026-07-01", 1.5, True, None, NEVER])
def test_points_in_time_that_nobody_can_place_are_refused(at: object) -> None:
    with pytest.raises(InvalidEntry) as refused:
        Once(at)  # type: ignore[arg-type]
    assert refused.value.field == "schedule"


# --- the sun ---------------------------------------------------------------------------------------------------------

PLACES = [(52.5, 13.4), (0, 0), (-33.9, 151.2), (69.65, 18.96), (40.7, -179.5)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("event", EVENTS)
def test_the_sun_moves_as_in_stock_celery(event: str) -> None:
    for lat, lon in PLACES:
        now = [datetime(2026, 1, 1, tzinfo=UTC)]
        stock = celery_solar(event, lat, lon, nowfun=lambda now=now: now[0], app=APP)
        mine, frame = Solar(event, lat, lon), Frame(UTC, "an entry", Instant(0))
        while now[0].year == 2026:
            there = now[0] + stock.remaining_estimate(now[0])
            here = datetime_of(mine.next_after(instant_of(now[0]), frame))
            assert abs(here - there) < timedelta(seconds=1), (lat, lon, now)
            now[0] = there + timedelta(days=3, hours=1)  # never within ephem's tenth of a second of an event


def test_an_event_of_the_sun_has_one_time_wherever_it_is_asked_from() -> None:
    frame = Frame(UTC, "an entry", Instant(0))
    sunset = Solar("sunset", 52.5, 13.4)
    due = instant_of(datetime(2026, 1, 1, tzinfo=UTC))
    for _ in range(30):
        following = sunset.next_after(due, frame)
        assert 23 * 3_600_000 < following - due < 25 * 3_600_000 or _ == 0
        for before in (1, 2, 50, 1000, 60_000, 20_000_000):
            assert sunset.next_after(Instant(following - before), frame) == following
        due = following


def test_where_the_sun_never_does_it_is_never() -> None:
    frame = Frame(UTC, "an entry", Instant(0))
    pole = Solar("dawn_astronomical", 90, 0)
    assert pole.next_after(NEVER, frame) == NEVER
    with pytest.raises(InvalidEntry, match="never come"):
        check(Solar("sunrise", -90, 0), instant_of(datetime(2026, 1, 1, tzinfo=UTC)), frame)


@pytest.mark.parametrize(
    ("event", "lat", "lon"),
    [
        ("moonrise", 0, 0),
        ("sunset", 91, 0),
        ("sunset", 0, -181),
        ("sunset", float("nan"), 0),
        ("sunset", "52", 0),
        ("sunset", True, 0),
    ],
)
def test_places_and_events_that_are_none_are_refused(event: str, lat: float, lon: float) -> None:
    with pytest.raises(InvalidEntry) as refused:
        Solar(event, lat, lon)
    assert refused.value.field == "schedule"


def test_without_ephem_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ephem", None)
    sunset = Solar("sunset", 10.25, 20.5)
    with pytest.raises(ConfigurationError, match="ephem"):
        sunset.next_after(Instant(0), Frame(UTC, "an entry", Instant(0)))

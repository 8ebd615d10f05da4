"""Local times that do not exist, or exist twice, are told of; what runs every hour is left alone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from celery_pyncette.clock_changes import changes, warnings
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.schedules import Cron, CronFields, Every, Jitter, Jittered, Once

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: str = "UTC") -> Instant:
    return instant_of(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


def said(schedule, first: str, last: str, zone: ZoneInfo = BERLIN) -> list[str]:
    return warnings(schedule, Frame(zone, "e", Instant(0)), at(first), at(last))


SPRING = ("2026-03-28", "2026-03-30")
AUTUMN = ("2026-10-24", "2026-10-26")
GAP = "does not exist in Europe/Berlin"
TWICE = "exists twice in Europe/Berlin"
TABLE = [
    ("30 2 * * *", SPRING, [f"2026-03-29 02:30 {GAP}: it runs right after the gap, at 2026-03-29 03:00"]),
    ("30 2 * * *", AUTUMN, [f"2026-10-25 02:30 {TWICE}: it runs at the first of the two"]),
    ("30 2 * * *", ("2026-04-01", "2026-09-30"), []),
    ("0 3 * * *", SPRING, []),
    ("0 3 * * *", AUTUMN, []),
    ("59 1 * * *", SPRING, []),
    ("30 2 * * mon", SPRING, []),
    ("0 * * * *", SPRING, []),
    ("*/10 * * * *", AUTUMN, []),
    ("*/20 2 * * *", SPRING, [f"2026-03-29 02:00 {GAP}: it is left out, and next runs at 2026-03-30 02:00"]),
    ("*/20 2 * * *", AUTUMN, [f"2026-10-25 02:00 {TWICE}: it runs at both"]),
]


@pytest.mark.parametrize(("expr", "span", "sentences"), TABLE, ids=[f"{e} {s[0]}" for e, s, _ in TABLE])
def test_what_is_said(expr: str, span: tuple[str, str], sentences: list[str]):
    assert said(Cron(expr), *span) == sentences


def test_what_is_said_is_what_happens():
    frame = Frame(BERLIN, "e", Instant(0))
    assert Cron("30 2 * * *").next_after(at("2026-03-28T12:00"), frame) == at("2026-03-29T03:00", "Europe/Berlin")
    assert Cron("*/20 2 * * *").next_after(at("2026-03-28T12:00"), frame) == at("2026-03-30T02:00", "Europe/Berlin")
    first = Cron("30 2 * * *").next_after(at("2026-10-24T12:00"), frame)
    assert first == at("2026-10-25T00:30")
    assert Cron("30 2 * * *").next_after(first, frame) == at("2026-10-26T01:30")


def test_crontabs_and_jitter_and_a_schedules_own_zone():
    fields = CronFields(minute=frozenset([30]), hour=frozenset([2]))
    assert len(said(fields, *SPRING)) == 1
    assert len(said(Jittered(fields, Jitter(60)), *SPRING)) == 1
    own = Cron("30 2 * * *", timezone="America/New_York")
    assert said(own, "2026-03-07", "2026-03-09")[0].startswith("2026-03-08 02:30 does not exist in America/New_York")
    assert said(own, *SPRING) == []


def test_half_an_hour_and_zones_without_changes():
    assert (
        "02:15 does not exist in Australia/Lord_Howe"
        in said(Cron("15 2 * * *"), "2026-10-02", "2026-10-05", ZoneInfo("Australia/Lord_Howe"))[0]
    )
    assert said(Cron("45 2 * * *"), "2026-10-02", "2026-10-05", ZoneInfo("Australia/Lord_Howe")) == []
    assert said(Cron("30 2 * * *"), "2026-01-01", "2027-01-01", ZoneInfo("Asia/Kolkata")) == []


def test_what_has_no_local_time_has_no_warning():
    assert said(Every(3600), *SPRING) == []
    assert said(Once(at("2026-03-29T01:00")), *SPRING) == []


def test_many_years_give_ten_warnings():
    assert len(said(Cron("30 2 * * *"), "2026-01-01", "2100-01-01")) == 10


def test_changes_are_those_of_the_zone():
    found = list(changes(BERLIN, at("2026-01-01"), at("2026-12-31")))
    assert [change.at for change in found] == [at("2026-03-29T01:00"), at("2026-10-25T01:00")]
    assert list(changes(BERLIN, at("2026-03-29T01:00"), at("2026-03-29T01:00"))) == found[:1]
    assert list(changes(BERLIN, Instant(at("2026-03-29T01:00") + 1), at("2026-10-25T00:59"))) == []

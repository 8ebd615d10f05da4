"""Cron strings: what they mean, and the rule for clock changes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import NEVER, Instant, datetime_of, instant_of
from celery_pyncette.core.schedules import ALIASES, Cron, CronFields, Frame, Schedule, check

UTC = timezone.utc


def frame(zone: str = "UTC", name: str = "an entry") -> Frame:
    return Frame(ZoneInfo(zone), name, Instant(0))


def due(schedule: Schedule, after: str, count: int, zone: str = "UTC", name: str = "an entry") -> list[str]:
    """The next due times as local ISO times, asked after a local time."""
    asked = frame(zone, name)
    moment = instant_of(datetime.fromisoformat(after).replace(tzinfo=asked.zone))
    times = []
    for _ in range(count):
        moment = schedule.next_after(moment, asked)
        times.append(
            "never" if moment == NEVER else f"{datetime_of(moment).astimezone(asked.zone):%Y-%m-%d %H:%M:%S%z}"
        )
    return [time.removesuffix("+0000") for time in times]


def days(expr: str, after: str, count: int) -> list[str]:
    return [time[:10] for time in due(Cron(expr), after, count)]


@pytest.mark.parametrize(
    ("expr", "after", "expected"),
    [
        ("30 4 * * *", "2026-01-01 04:30", ["2026-01-02", "2026-01-03"]),
        ("0 0 L * *", "2026-01-31 00:00", ["2026-02-28", "2026-03-31"]),
        ("0 0 L * *", "2028-02-01 00:00", ["2028-02-29", "2028-03-31"]),
        ("0 0 * * MON#1", "2026-01-01 00:00", ["2026-01-05", "2026-02-02"]),
        ("0 0 * * 5#5", "2026-01-01 00:00", ["2026-01-30", "2026-05-29"]),
        ("0 0 * * L5", "2026-01-01 00:00", ["2026-01-30", "2026-02-27"]),
        ("0 0 15W * *", "2026-02-01 00:00", ["2026-02-16", "2026-03-16"]),
        ("0 0 1W * *", "2026-07-15 00:00", ["2026-08-03", "2026-09-01"]),
        ("0 0 29 2 *", "2026-01-01 00:00", ["2028-02-29", "2032-02-29"]),
        ("0 0 29 2 MON", "2026-02-05 00:00", ["2026-02-09", "2026-02-16"]),
        ("0 0 13 * FRI", "2026-01-01 00:00", ["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"]),
        ("0 0 */100,1-7 * MON", "2026-01-06 00:00", ["2026-02-02", "2026-03-02"]),
        ("0 0 1-7 * */7", "2026-01-06 00:00", ["2026-02-01", "2026-03-01"]),
        ("0 0 ? 3 SUN", "2026-01-01 00:00", ["2026-03-01", "2026-03-08"]),
        ("0 0 * * 7", "2026-01-01 00:00", ["2026-01-04", "2026-01-11"]),
        ("0 0 * * SAT-SUN", "2026-01-01 00:00", ["2026-01-03", "2026-01-04"]),
        ("0 0 5-5 * *", "2026-01-01 00:00", ["2026-01-05", "2026-02-05"]),
        ("@daily", "2026-01-01 00:00", ["2026-01-02", "2026-01-03"]),
        ("@weekly", "2026-01-01 00:00", ["2026-01-04", "2026-01-11"]),
        ("@MONTHLY", "2026-01-01 00:00", ["2026-02-01", "2026-03-01"]),
        ("@annually", "2026-01-01 00:00", ["2027-01-01", "2028-01-01"]),
    ],
)
def test_days(expr: str, after: str, expected: list[str]) -> None:
    assert days(expr, after, len(expected)) == expected


def test_all_aliases_fall_due_and_the_name_of_the_entry_moves_none_of_them() -> None:
    for alias in ALIASES:
        assert due(Cron(alias), "2026-01-01 00:00", 3, name="a") == due(Cron(alias), "2026-01-01 00:00", 3, name="b")
        assert due(Cron(alias), "2026-01-01 00:00", 1)[0].endswith(":00:00")


def test_an_hour_range_with_equal_ends_is_that_hour() -> None:
    assert due(Cron("0 9-9 * * *"), "2026-01-01 10:00", 2) == ["2026-01-02 09:00:00", "2026-01-03 09:00:00"]


def test_seconds_first_last_and_years() -> None:
    expected = ["2026-01-01 02:30:10", "2026-01-01 02:30:40"]
    assert due(Cron("10,40 30 2 * * *", seconds="first"), "2026-01-01 00:00", 2) == expected
    assert due(Cron("30 2 * * * 10,40", seconds="last"), "2026-01-01 00:00", 2) == expected
    for cron in (Cron("10 30 2 1 1 ? 2027", seconds="first"), Cron("30 2 1 1 ? 10 2027", seconds="last")):
        assert due(cron, "2026-01-01 00:00", 2) == ["2027-01-01 02:30:10", "never"]


def test_hashed_fields_spread_by_name_are_stable_and_come_every_month() -> None:
    cron = Cron("H H H * *")
    assert due(cron, "2026-01-01 00:00", 12, name="a") == due(cron, "2026-01-01 00:00", 12, name="a")
    names = [f"entry {n}" for n in range(200)]
    assert len({due(cron, "2026-01-01 00:00", 1, name=name)[0] for name in names}) > 150
    for name in names:
        assert len({time[:7] for time in due(cron, "2026-01-01 00:00", 12, name=name)}) == 12
    assert len({due(Cron("H/15 * * * *"), "2026-01-01 00:00", 1, name=name)[0] for name in names}) == 15


def test_a_cron_string_keeps_its_own_zone() -> None:
    cron = Cron("0 9 * * *", timezone="Asia/Kolkata")
    assert due(cron, "2026-01-01 00:00", 1) == ["2026-01-01 03:30:00"]
    fields = CronFields(minute=frozenset({0}), hour=frozenset({9}), timezone="Asia/Kolkata")
    assert due(fields, "2026-01-01 00:00", 1) == ["2026-01-01 03:30:00"]


@pytest.mark.parametrize(
    ("zone", "expr", "after", "expected"),
    [
        # a gap: fixed times run right after it, once, each day
        ("Europe/Berlin", "30 2 * * *", "2026-03-28 03:00", ["2026-03-29 03:00+0200", "2026-03-30 02:30+0200"]),
        ("Europe/Berlin", "15,45 2 * * *", "2026-03-29 01:00", ["2026-03-29 03:00+0200", "2026-03-30 02:15+0200"]),
        ("Europe/Berlin", "0 2-3 * * *", "2026-03-29 01:00", ["2026-03-29 03:00+0200", "2026-03-30 02:00+0200"]),
        ("America/Santiago", "15 0 * * *", "2026-09-05 12:00", ["2026-09-06 01:00-0300", "2026-09-07 00:15-0300"]),
        ("America/Santiago", "@daily", "2026-09-05 12:00", ["2026-09-06 01:00-0300", "2026-09-07 00:00-0300"]),
        ("Australia/Lord_Howe", "10 2 * * *", "2026-10-03 12:00", ["2026-10-04 02:30+1100", "2026-10-05 02:10+1100"]),
        # an overlap: the first of the two
        ("Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", ["2026-10-25 02:30+0200", "2026-10-26 02:30+0100"]),
        ("America/Santiago", "30 23 * * *", "2026-04-04 12:00", ["2026-04-04 23:30-0300", "2026-04-05 23:30-0400"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00", ["2026-04-05 01:45+1100", "2026-04-06 01:45+1030"]),
        # wild: real elapsed time
        ("Europe/Berlin", "0 * * * *", "2026-03-29 00:30", ["2026-03-29 01:00+0100", "2026-03-29 03:00+0200"]),
        ("Europe/Berlin", "0 0-23 * * *", "2026-10-25 01:30", ["2026-10-25 02:00+0200", "2026-10-25 02:00+0100"]),
        ("Europe/Berlin", "*/30 2 * * *", "2026-03-29 00:30", ["2026-03-30 02:00+0200", "2026-03-30 02:30+0200"]),
        ("Europe/Berlin", "0 */2 * * *", "2026-10-25 01:30", ["2026-10-25 02:00+0200", "2026-10-25 02:00+0100"]),
    ],
)
def test_the_rule_for_clock_changes(zone: str, expr: str, after: str, expected: list[str]) -> None:
    times = due(Cron(expr), after, len(expected), zone)
    assert [time[:16] + time[19:] for time in times] == expected


def test_a_half_hourly_job_stays_half_hourly_through_both_changes() -> None:
    for start in ("2026-03-28 12:00", "2026-10-24 12:00"):
        asked = frame("Europe/Berlin")
        moment = instant_of(datetime.fromisoformat(start).replace(tzinfo=asked.zone))
        for _ in range(60):
            following = Cron("*/30 * * * *").next_after(moment, asked)
            assert following - moment == 1_800_000
            moment = following


def test_asked_within_the_second_pass_of_an_overlap_a_fixed_time_is_over() -> None:
    asked = frame("Europe/Berlin")
    moment = instant_of(datetime(2026, 10, 25, 2, 10, tzinfo=asked.zone, fold=1))
    following = Cron("30 2 * * *").next_after(moment, asked)
    assert datetime_of(following) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_day_that_a_zone_left_out_is_made_up_for_at_its_end() -> None:
    samoa = due(Cron("0 12 * * *"), "2011-12-29 13:00", 2, "Pacific/Apia")
    assert samoa == ["2011-12-31 00:00:00+1400", "2011-12-31 12:00:00+1400"]


NEVER_COMES = [
    Cron("0 0 30 2 *"),
    Cron("0 0 31 4,6,9,11 *"),
    Cron("0 0 0 1 1 ? 2020", seconds="first"),
    Cron("*/5 * 31 2 *"),
    CronFields(day_of_month=frozenset({31}), month=frozenset({2})),
]


@pytest.mark.parametrize("schedule", NEVER_COMES)
def test_dates_that_never_come_yield_never_and_are_refused(schedule: Schedule) -> None:
    now = instant_of(datetime(2026, 1, 1, tzinfo=UTC))
    for zone in ("UTC", "Europe/Berlin"):
        assert schedule.next_after(now, frame(zone)) == NEVER
        with pytest.raises(InvalidEntry) as refused:
            check(schedule, now, frame(zone))
        assert refused.value.field == "schedule"
        assert "never come" in refused.value.rule


def test_the_rarest_date_is_found() -> None:
    leap_mondays = CronFields(
        minute=frozenset({0}),
        hour=frozenset({0}),
        day_of_month=frozenset({29}),
        month=frozenset({2}),
        day_of_week=frozenset({1}),
    )
    assert due(leap_mondays, "2072-03-01 00:00", 2) == ["2112-02-29 00:00:00", "2140-02-29 00:00:00"]


def test_the_end_of_the_calendar_is_never() -> None:
    for moment in (NEVER, Instant(NEVER - 1), instant_of(datetime(9999, 1, 1, tzinfo=UTC))):
        assert Cron("* * * * *").next_after(moment, frame()) == NEVER
        assert Cron("0 0 * * *").next_after(moment, frame("Europe/Berlin")) == NEVER


def test_a_zone_may_be_any_hashable_tzinfo() -> None:
    asked = Frame(timezone(timedelta(hours=-3, minutes=-30)), "an entry", Instant(0))
    assert Cron("0 0 * * *").next_after(Instant(0), asked) == 12_600_000


BAD = [
    ("", "5 fields"),
    ("* * * *", "5 fields"),
    ("* * * * * * *", "5 fields"),
    ("60 * * * *", "range"),
    ("* 24 * * *", "range"),
    ("* * 0 * *", "range"),
    ("* * 32 * *", "range"),
    ("* * * 13 *", "range"),
    ("* * * * 8", "range"),
    ("*/0 * * * *", "step"),
    ("0-30/0 * * * *", "step"),
    ("-1 * * * *", "cron string"),
    ("5,, * * * *", "cron string"),
    ("* * * foo *", "cron string"),
    ("* * * * MON#6", "cron string"),
    ("R * * * *", "H is stable"),
    ("0 R(1-3) * * *", "H is stable"),
    ("* R/2 * * *", "H is stable"),
    ("H(5-3) * * * *", "cron string"),
    ("@reboot", "must be one of"),
    ("0 " * 128 + "0", "256 characters"),
    ("٣ * * * *", "ASCII"),
    ("0 0 * * *\n", "ASCII"),
    ("0\t0 * * *", "ASCII"),
    ("0 0 * * \x00", "ASCII"),
]


@pytest.mark.parametrize(("expr", "says"), BAD)
def test_bad_strings_are_refused_with_field_value_and_rule(expr: str, says: str) -> None:
    with pytest.raises(InvalidEntry) as refused:
        Cron(expr)
    assert (refused.value.field, refused.value.value) == ("schedule", expr)
    assert says in refused.value.rule or "is not a cron string" in refused.value.rule


def test_six_bare_fields_are_refused_with_both_readings() -> None:
    with pytest.raises(InvalidEntry) as refused:
        Cron("0 30 2 * * *")
    assert "seconds='first' reads it as '30 2 * * *' at second 0" in refused.value.rule
    assert "seconds='last' as '0 30 2 * *' at second *" in refused.value.rule


@pytest.mark.parametrize(
    "build",
    [
        lambda: Cron("0 0 * * *", seconds="first"),
        lambda: Cron("@daily", seconds="first"),
        lambda: Cron("0 0 0 * * *", seconds="second"),  # type: ignore[arg-type]
        lambda: Cron(5),  # type: ignore[arg-type]
        lambda: CronFields(minute=frozenset()),
        lambda: CronFields(hour=frozenset({24})),
        lambda: CronFields(day_of_week=frozenset({7})),
        lambda: CronFields(minute=frozenset({True})),
    ],
)
def test_other_bad_schedules_are_refused(build: object) -> None:
    with pytest.raises(InvalidEntry) as refused:
        build()  # type: ignore[operator]
    assert refused.value.field == "schedule"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "\x00", 5])
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(InvalidEntry) as refused:
        Cron("0 0 * * *", timezone=name)
    assert refused.value.field == "timezone"

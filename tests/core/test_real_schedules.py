"""Schedules from public repositories, around every clock change of two years and on 30 ordinary days.

Expected times come from a table of real minutes per zone and window, made with ``zoneinfo`` alone: which reading of
the clock happens when, which never, which twice. What a field means is asked of Celery's ``crontab`` and of cronsim,
and cronsim's own iteration is asked as well.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab
from celery.schedules import schedule as celery_interval
from cronsim import CronSim, CronSimError

from celery_pyncette.core.instants import Instant, datetime_of, instant_of
from celery_pyncette.core.schedules import Cron, CronFields, Every, Frame, Schedule

DATA = Path(__file__).parent.parent / "data"
PROJECTS = json.loads((DATA / "real-beat-schedules.json").read_text())["projects"]
LINES = [line for line in (DATA / "cron-expressions.txt").read_text().splitlines() if line and line[0] != "#"]
ENTRIES = [entry for project in PROJECTS for entry in project["entries"]]
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago", "UTC")
#: A change of an hour, one of half an hour, none: `make test` has one of each kind.
KINDS = ("Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")
IN_EACH_ZONE = pytest.mark.parametrize(
    "zone", [pytest.param(zone, marks=() if zone in KINDS else pytest.mark.full_matrix) for zone in ZONES]
)
CELERY_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

#: What cronsim cannot read, or reads in another sense, in words that it shares with us.
FOR_CRONSIM = {
    # ``?`` is another way to write ``*``
    "* * * * ?": "* * * * *",
    "*/10 12-20 ? DEC 3": "*/10 12-20 * DEC 3",
    "0 12 L * ?": "0 12 L * *",
    "0 6 * * ?": "0 6 * * *",
    "30 10 ? 3 MON-FRI": "30 10 * 3 MON-FRI",
    # ranges of days that pass Sunday
    "* * * * SAT-SUN": "* * * * SAT,SUN",
    # names every hour without a leading star: hourly stays hourly
    "43 0-23/1 * * *": "43 * * * *",
    "49 0-23/1 * * *": "49 * * * *",
}
#: What cronsim has no words for: the nearest weekday; with a star, its days are checked one by one below.
NEAREST_WEEKDAY = {"* * 10W * *": 10, "0 0 15W * *": 15, "* * * 10W * *": 10, "0 0 0 15W * ?": 15, "0 0 12 1W * ? *": 1}
#: Of the longer lines: ranges that pass the end of their field, and steps that cronsim reads as too large.
LONGER_FOR_CRONSIM = {
    "0 0 0-07,17-0 ? * SAT": "0 0 0-7,17-23,0 * * SAT",
    "0 0 10 ? * SAT-SUN": "0 0 10 * * SAT,SUN",
    "0 0 5 ? * FRI-TUE *": "0 0 5 * * FRI,SAT,SUN,MON,TUE",
    "0 0 * ? * MON-SUN *": "0 0 * * * *",
    "57-3 * * * * *": "57-59,0-3 * * * * *",
}
#: Where clocks move by half an hour cronsim misses times: it goes on in steps of whole hours of real time. Compared
#: with the table alone there.
MISSED_BY_CRONSIM_ON_LORD_HOWE = {
    "0 */12 * * *",
    "0 */3 * * *",
    "0 */4 * * *",
    "0 */6 * * *",
    "2 */12 * * *",
    "2 */6 * * *",
    "43 0-23/1 * * *",
    "49 0-23/1 * * *",
    "54 * * * *",
    "0 0 */2 * * *",
    "0 30 * * * *",
}


@dataclass(frozen=True)
class Window:
    """Real minutes of a zone in ``[start, end)``: readings that happen, and where those that don't are made up for."""

    zone: tzinfo
    start: Instant
    end: Instant
    change: Instant | None
    readings: dict[tuple[int, int, int], list[Instant]]
    gaps: dict[tuple[int, int, int], Instant]
    days: tuple[date, ...]

    @property
    def frame(self) -> Frame:
        return Frame(self.zone, "an entry", self.start)


def window(zone_name: str, start: Instant, end: Instant, change: Instant | None) -> Window:
    zone = ZoneInfo(zone_name)
    readings: dict[tuple[int, int, int], list[Instant]] = {}
    gaps: dict[tuple[int, int, int], Instant] = {}
    before = datetime.max
    for moment in range(start, end, MINUTE):
        local = datetime.fromtimestamp(moment // 1000, zone).replace(tzinfo=None, fold=0)
        while before < local - timedelta(minutes=1):
            before += timedelta(minutes=1)
            gaps[_reading(before)] = Instant(moment)
        readings.setdefault(_reading(local), []).append(Instant(moment))
        before = local
    days = sorted({reading[0] for reading in (*readings, *gaps)})
    return Window(zone, start, end, change, readings, gaps, tuple(date.fromordinal(day) for day in days))


def _reading(local: datetime) -> tuple[int, int, int]:
    return local.toordinal(), local.hour, local.minute


@cache
def changes(zone_name: str) -> tuple[Instant, ...]:
    """Every change of offset in 2026 and 2027, to the minute."""
    zone = ZoneInfo(zone_name)
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    quarters = (start + timedelta(minutes=15 * n) for n in range(2 * 365 * 96))
    found, before = [], start.astimezone(zone).utcoffset()
    for moment in quarters:
        offset = moment.astimezone(zone).utcoffset()
        if offset != before:
            found.append(instant_of(moment))
        before = offset
    return tuple(found)


@cache
def around_changes(zone_name: str, reach: int = 3 * DAY) -> tuple[Window, ...]:
    """Windows around each change; for zones without any, around those of Berlin."""
    at = changes(zone_name) or changes("Europe/Berlin")
    return tuple(window(zone_name, Instant(moment - reach), Instant(moment + reach), moment) for moment in at)


@cache
def ordinary(zone_name: str, days: int = 30) -> Window:
    start = instant_of(datetime(2026, 6, 1, tzinfo=ZoneInfo(zone_name)))
    return window(zone_name, start, Instant(start + days * DAY), None)


@dataclass(frozen=True)
class Meaning:
    """What an oracle understood: times of the day, days, and whether the rule calls the pattern wild."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]
    on: Callable[[date], bool]
    wild: bool

    def due(self, window: Window) -> list[Instant]:
        found: set[Instant] = set()
        for day in filter(self.on, window.days):
            for hour in self.hours:
                for minute in self.minutes:
                    found.update(self._at(window, (day.toordinal(), hour, minute)))
        return sorted(found)

    def _at(self, window: Window, reading: tuple[int, int, int]) -> Iterator[Instant]:
        moments = window.readings.get(reading, ())
        for moment in moments if self.wild else moments[:1]:
            for second in self.seconds:
                yield Instant(moment + second * 1000)
        if not self.wild and reading in window.gaps:
            yield window.gaps[reading]

    @property
    def per_day(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)


def agree(schedule: Schedule, meaning: Meaning, window: Window) -> None:
    """Ask at every due time; of more than 200, at all in the two hours around the change and a sample elsewhere."""
    expected = meaning.due(window)
    asked: Iterable[int] = range(len(expected) - 1)
    if len(expected) > 200:
        near = [n for n in asked if window.change is not None and abs(expected[n] - window.change) <= 2 * HOUR]
        asked = {*near[:150], *near[-150:], *random.Random(len(expected)).sample(range(len(expected) - 1), 40)}
    wrong = [
        (datetime_of(expected[n]), schedule.next_after(expected[n], window.frame), expected[n + 1])
        for n in asked
        if schedule.next_after(expected[n], window.frame) != expected[n + 1]
    ]
    assert not wrong, (schedule, window.zone, wrong[:3])
    if expected:
        assert schedule.next_after(Instant(window.start - 1), window.frame) == expected[0], (schedule, window.zone)
        assert schedule.next_after(expected[-1], window.frame) >= window.end, (schedule, window.zone)
    else:
        assert schedule.next_after(Instant(window.start - 1), window.frame) >= window.end, (schedule, window.zone)


# --- Celery's crontab ------------------------------------------------------------------------------------------------

CRONTABS = sorted(
    {tuple(str(e["schedule"][f]) for f in CELERY_FIELDS) for e in ENTRIES if e["schedule"]["kind"] == "crontab"}
)
APP = Celery("schedules", set_as_current=False)
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


def stock(fields: tuple[str, ...], zone_name: str) -> crontab:
    """Celery's own, in the zone of an app (its ``tz=`` argument is not looked at everywhere)."""
    celery = crontab(**dict(zip(CELERY_FIELDS, fields, strict=True)), nowfun=lambda: NOW, app=APP)
    celery.tz = ZoneInfo(zone_name)
    return celery


def ours(celery: crontab) -> CronFields:
    return CronFields(
        minute=celery.minute,
        hour=celery.hour,
        day_of_month=celery.day_of_month,
        month=celery.month_of_year,
        day_of_week=celery.day_of_week,
        wild_minute=str(celery._orig_minute).startswith("*"),
        wild_hour=str(celery._orig_hour).startswith("*"),
    )


def meaning_of_crontab(celery: crontab) -> Meaning:
    def on(day: date) -> bool:
        return (
            day.month in celery.month_of_year
            and day.day in celery.day_of_month
            and day.isoweekday() % 7 in celery.day_of_week
        )

    wild = any(str(field).startswith("*") for field in (celery._orig_minute, celery._orig_hour))
    wild = wild or len(celery.minute) == 60 or len(celery.hour) == 24
    return Meaning(tuple(sorted(celery.hour)), tuple(sorted(celery.minute)), (0,), on, wild)


def stock_after(celery: crontab, moment: Instant) -> Instant:
    last, delta, _now = celery.remaining_delta(datetime_of(moment))
    return instant_of(last + delta)


def test_the_data_is_complete() -> None:
    assert len(ENTRIES) == 929
    assert len(CRONTABS) == 230
    assert [len(line.split()) == 5 for line in LINES].count(True) == 264
    assert len(LINES) == 405
    assert {zone: len(changes(zone)) for zone in ZONES} == dict(zip(ZONES, (4, 4, 4, 0, 4, 0), strict=True))


@IN_EACH_ZONE
def test_crontabs_fall_due_as_in_stock_celery_on_ordinary_days(zone: str) -> None:
    days = ordinary(zone)
    for fields in CRONTABS:
        celery, chosen = stock(fields, zone), random.Random("".join(fields))
        mine = ours(celery)
        moments = {Instant(chosen.randrange(days.start, days.end)) for _ in range(5)}
        due = Instant(days.start - 1)
        for _ in range(60):
            moments.add(due)
            due = mine.next_after(due, days.frame)
            if due >= days.end:
                break
        for moment in moments:
            assert mine.next_after(moment, days.frame) == stock_after(celery, moment), (fields, moment)


@IN_EACH_ZONE
def test_crontabs_follow_the_rule_around_changes_and_on_ordinary_days(zone: str) -> None:
    for fields in CRONTABS:
        celery = stock(fields, zone)
        for days in (*around_changes(zone), ordinary(zone)):
            agree(ours(celery), meaning_of_crontab(celery), days)


def test_intervals_fall_due_as_in_stock_celery() -> None:
    anchor = instant_of(datetime(2026, 10, 24, 22, 30, tzinfo=timezone.utc))
    seconds = {entry["schedule"]["seconds"] for entry in ENTRIES if entry["schedule"]["kind"] == "interval"}
    assert len(seconds) == 30
    for zone in ZONES:
        for interval in seconds:
            due, frame = anchor, Frame(ZoneInfo(zone), "an entry", anchor)
            for _ in range(50):
                last = datetime_of(due).astimezone(frame.zone)
                stock_schedule = celery_interval(interval, nowfun=lambda last=last: last, app=APP)
                wanted = instant_of(last.astimezone(timezone.utc) + stock_schedule.remaining_estimate(last))
                due = Every(interval).next_after(due, frame)
                assert due == wanted


def test_the_other_schedules_are_these() -> None:
    forms = sorted({entry["schedule"]["form"] for entry in ENTRIES if entry["schedule"]["kind"] == "other"})
    # Classes of the projects' own: they answer for themselves through remaining_estimate, where Celery is known.
    assert [form for form in forms if form != "crontab"] == [
        "OffsettingSchedule",
        "checkout_automatic_completion_schedule",
        "checkout_search_update_schedule",
        "gift_card_search_update_schedule",
        "page_search_update_schedule",
        "product_search_update_schedule",
        "promotion_webhook_schedule",
    ]


def test_crontabs_with_a_minute_drawn_at_start_fall_due_as_in_stock_celery() -> None:
    drawn = [entry["schedule"] for entry in ENTRIES if entry["schedule"].get("form") == "crontab"]
    assert len(drawn) == 7
    for fields in drawn:
        for minute in fields["minute"].removeprefix("random ").split("-"):
            for zone in ZONES:
                celery = stock((minute, fields["hour"], "*", "*", "*"), zone)
                due = ordinary(zone).start
                for _ in range(20):
                    following = ours(celery).next_after(due, ordinary(zone).frame)
                    assert following == stock_after(celery, due)
                    due = following


# --- cron strings ----------------------------------------------------------------------------------------------------


def cronsim_words(line: str) -> str:
    """A line as cronsim can read it: five fields, or six with the second first."""
    if line in LONGER_FOR_CRONSIM:
        return LONGER_FOR_CRONSIM[line]
    if line in FOR_CRONSIM:
        return FOR_CRONSIM[line]
    fields = ["*" if field == "?" else field for field in line.split()][:6]
    if line in NEAREST_WEEKDAY:
        fields[-3] = "*"
    return " ".join(fields) if len(fields) == 6 else line


@cache
def meaning_of_line(line: str) -> Meaning:
    words = cronsim_words(line)
    if line in NEAREST_WEEKDAY and len(line.split()) == 5:
        words = " ".join([*line.split()[:2], "*", "*", "*"])
    sim: Any = CronSim(words, datetime(2026, 1, 1, tzinfo=timezone.utc))

    def on(day: date) -> bool:
        if line in NEAREST_WEEKDAY:
            return nearest(day, NEAREST_WEEKDAY[line])
        return day.month in sim.months and sim.match_day(day)

    minute, hour = words.split()[-5:-3]
    wild = minute.startswith("*") or hour.startswith("*") or len(sim.minutes) == 60 or len(sim.hours) == 24
    hours, minutes, seconds = (tuple(sorted(part)) for part in (sim.hours, sim.minutes, sim.seconds))
    return Meaning(hours, minutes, seconds, on, wild)


def nearest(day: date, wanted: int) -> bool:
    """Whether ``day`` is the Monday to Friday nearest to a day of its own month."""
    candidates = [date.fromordinal(n) for n in range(day.toordinal() - 3, day.toordinal() + 4)]
    weekdays = [d for d in candidates if d.month == day.month and d.weekday() < 5]
    target = day.replace(day=wanted)
    return bool(weekdays) and day == min(weekdays, key=lambda d: (abs((d - target).days), d))


@cache
def cron(line: str) -> Cron:
    return Cron(line, seconds=None if len(line.split()) == 5 else "first")


def test_cronsim_reads_every_line_that_is_not_listed_here() -> None:
    unread = set()
    for line in LINES:
        fields = line.split()[:6]
        try:
            CronSim(" ".join(fields), datetime(2026, 1, 1, tzinfo=timezone.utc))
        except CronSimError:
            if not ("?" in fields and len(fields) == 6):
                unread.add(line)
    assert unread <= {*FOR_CRONSIM, *LONGER_FOR_CRONSIM, *NEAREST_WEEKDAY}, unread


@IN_EACH_ZONE
def test_cron_lines_follow_the_rule_around_changes_and_on_ordinary_days(zone: str) -> None:
    for line in LINES:
        meaning = meaning_of_line(line)
        seconds = meaning.per_day > 1440
        windows = around_changes(zone, 3 * HOUR) if seconds else (*around_changes(zone), ordinary(zone))
        for days in windows:
            agree(cron(line), meaning, days)


@IN_EACH_ZONE
def test_cron_lines_fall_due_when_cronsim_says_around_changes(zone: str) -> None:
    for line in LINES:
        words = cronsim_words(line)
        if line in NEAREST_WEEKDAY or (zone == "Australia/Lord_Howe" and line in MISSED_BY_CRONSIM_ON_LORD_HOWE):
            continue  # compared above
        if len(words.split()) == 6:
            if words.split()[0] not in ("0", "00"):
                continue  # cronsim knows Debian's rule for five fields only; compared above
            words = " ".join(words.split()[1:])
        for days in around_changes(zone):
            dense = meaning_of_line(line).per_day > 100
            start = max(days.start, (days.change or 0) - 2 * HOUR) if dense else days.start
            theirs = CronSim(words, datetime_of(Instant(start - 1)).astimezone(days.zone))
            due = Instant(start - 1)
            for _ in range(250):
                due = cron(line).next_after(due, days.frame)
                if due >= days.end:
                    break
                assert due == instant_of(next(theirs)), (line, days.zone, datetime_of(due))


# --- where the rule differs from stock Celery ------------------------------------------------------------------------


def differences(fields: tuple[str, ...], zone: str, days: Window) -> tuple[set[Instant], set[Instant]]:
    """The due times, within five hours of a change, that only stock Celery has, and those that only we have."""
    celery = stock(fields, zone)
    mine = ours(celery)

    def here(due: Instant) -> Instant:
        return mine.next_after(due, days.frame)

    def there(due: Instant) -> Instant:
        return stock_after(celery, due)

    return _walk(there, days) - _walk(here, days), _walk(here, days) - _walk(there, days)


def _walk(step: Callable[[Instant], Instant], days: Window) -> set[Instant]:
    assert days.change is not None
    due, found = step(Instant(days.change - 5 * HOUR)), set()
    while due < days.change + 5 * HOUR and due not in found:
        found.add(due)
        due = step(due)
    return found


def shift(days: Window) -> int:
    """By how much the clock goes forward at the change, in milliseconds; negative for back."""
    assert days.change is not None
    before, after = (datetime_of(Instant(days.change + by)).astimezone(days.zone).utcoffset() for by in (-1, 0))
    assert before is not None
    assert after is not None
    return (after - before) // timedelta(milliseconds=1)


@IN_EACH_ZONE
def test_these_are_all_the_differences_from_stock_celery(zone: str) -> None:
    for fields in CRONTABS:
        for days in around_changes(zone, DAY):
            only_stock, only_here = differences(fields, zone, days)
            change, by = days.change or 0, shift(days)
            if by > 0:
                # Stock moves a time from the gap on by the gap: 02:30 to 03:30, and 02:00 of a wild pattern to 03:00.
                # Here the fixed ones run once, right after the gap, and the wild ones are not moved.
                assert all(change <= due < change + by for due in only_stock), fields
                assert all(due == change for due in only_here), fields
            else:
                # Stock leaves out the second pass of the repeated hour; here wild patterns run in it.
                assert only_stock == set(), fields
                assert all(change <= due < change - by for due in only_here), fields
                assert not only_here or meaning_of_crontab(stock(fields, zone)).wild, fields

"""The table of docs/migrating.md about clock changes: both columns are worked out, stock beat's by asking Celery."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab

from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import Instant, datetime_of, instant_of
from celery_pyncette.reading import schedule_of
from tests.docs.pages import DOCS, read

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = {"March": (2026, 3, 29), "October": (2026, 10, 25)}
#: Per row: what stock beat does from 0:30 to 5:00, and what we do. ``*`` marks a reading that comes a second time.
ROWS = {
    ("30 2 * * *", "March"): ("03:30", "03:00"),
    ("15 1-3 * * *", "March"): ("01:15 03:15", "01:15 03:00 03:15"),
    ("30 */2 * * *", "March"): ("03:30 04:30", "04:30"),
    ("*/20 2 * * *", "March"): ("03:00", ""),
    ("0 * * * *", "October"): ("01:00 02:00 03:00 04:00", "01:00 02:00 02:00* 03:00 04:00"),
    ("*/30 * * * *", "October"): (
        "01:00 01:30 02:00 02:30 03:00 03:30 04:00 04:30",
        "01:00 01:30 02:00 02:30 02:00* 02:30* 03:00 03:30 04:00 04:30",
    ),
    ("30 */2 * * *", "October"): ("02:30 04:30", "02:30 02:30* 04:30"),
    ("*/20 2 * * *", "October"): ("02:00 02:20 02:40", "02:00 02:20 02:40 02:00* 02:20* 02:40*"),
    ("30 2 * * *", "October"): ("02:30", "02:30"),
    ("0 2 * * *", "March"): ("03:00", "03:00"),
}


@pytest.fixture(scope="module")
def app() -> Celery:
    app = Celery("stock")
    app.conf.timezone = "Europe/Berlin"
    return app


def crontab_of(line: str, app: Celery, **more: object) -> crontab:
    minute, hour, *_ = line.split()
    made = crontab(minute=minute, hour=hour, app=app, **more)
    made.app = app
    return made


def window(day: str) -> tuple[datetime, datetime]:
    return datetime(*DAYS[day], 0, 30, tzinfo=BERLIN), datetime(*DAYS[day], 5, 0, tzinfo=BERLIN)


def shown(moments: list[datetime], day: str) -> str:
    second = day == "October"
    return " ".join(f"{m:%H:%M}{'*' if second and m.hour == 2 and m.fold else ''}" for m in moments)


def stock(line: str, day: str, app: Celery) -> str:
    """Stock beat, asked at each minute of real time."""
    start, end = (moment.astimezone(timezone.utc) for moment in window(day))
    now = [start]
    schedule = crontab_of(line, app, nowfun=lambda: now[0].astimezone(BERLIN))
    last, fired = start.astimezone(BERLIN), []
    while now[0] + timedelta(minutes=1) < end:
        now[0] += timedelta(minutes=1)
        if schedule.is_due(last).is_due:
            last = now[0].astimezone(BERLIN)
            fired.append(last)
    return shown(fired, day)


def ours(line: str, day: str, app: Celery) -> str:
    schedule, zone = schedule_of(crontab_of(line, app), app)
    assert zone is None
    start, end = window(day)
    moment, fired = instant_of(start), []
    while (moment := schedule.next_after(moment, Frame(BERLIN, "entry", Instant(0)))) < instant_of(end):
        fired.append(datetime_of(moment).astimezone(BERLIN))
    return shown(fired, day)


@pytest.mark.parametrize(("line", "day"), ROWS)
def test_a_row_about_clock_changes_is_true(line: str, day: str, app: Celery):
    assert (stock(line, day, app), ours(line, day, app)) == ROWS[line, day]


def test_the_page_has_these_rows_and_no_others():
    rows = re.findall(r"^\| `([^`]+)` \| (March|October) \|", read(DOCS / "migrating.md"), re.MULTILINE)
    assert rows == list(ROWS)

"""Each due time of the real schedules is sent once, by one of two beats, on the days on which clocks change.

Over each change: one entry of each schedule but the most frequent intervals, for 26 hours; over one of them all 929
entries, for two hours. PYNCETTE_REAL_DAYS=all has all 929 for 26 hours over each: minutes of CPU per change.
"""

from __future__ import annotations

import os

import pytest

from celery_pyncette.core.instants import Instant, show
from tests.simulation.real_days import POLL, Day, changes, distinct, live_through, real_entries, seldom

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago")
CHANGES = [(zone, change) for zone in ZONES for change in changes(zone, 2026)]
#: `make test` has one change of an hour in autumn, and one of half an hour in spring.
FEW = (1, 5)
ALL = os.environ.get("PYNCETTE_REAL_DAYS") == "all"


def check(day: Day) -> None:
    assert {name: sorted(dues) for name, dues in day.sent.items()} == {n: d for n, d in day.expected.items() if d}
    assert day.lag <= POLL
    assert min(day.by_beat.values()) > 0.25 * sum(day.by_beat.values())


@pytest.mark.timeout(7_200 if ALL else 120)
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        pytest.param(zone, change, id=f"{zone} {show(change)}", marks=() if number in FEW else pytest.mark.full_matrix)
        for number, (zone, change) in enumerate(CHANGES)
    ],
)
def test_each_due_time_is_sent_once_over_a_change_of_clocks(zone: str, change: Instant) -> None:
    entries = real_entries(zone)
    day = live_through(entries if ALL else seldom(distinct(entries), 900_000), change, seed=1)
    check(day)
    assert len(day.by_beat) == 2
    assert sum(map(len, day.expected.values())) > 5_000


def test_all_entries_at_once_over_a_change_of_clocks() -> None:
    entries = real_entries("Europe/Berlin")
    assert len(entries) == 929
    day = live_through(entries, CHANGES[0][1], seed=1, hours=1)
    check(day)
    assert sum(map(len, day.expected.values())) > 10_000


def test_four_zones_change_twice_a_year() -> None:
    assert len(CHANGES) == 8

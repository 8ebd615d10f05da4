"""Durations, distances, and tables."""

from __future__ import annotations

import pytest

from celery_pyncette.cli.printing import Table, plain
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.words import brief, distance, moment, safe, times

DURATIONS = [
    (0, "0 ms"),
    (12, "12 ms"),
    (999, "999 ms"),
    (1_000, "1 s"),
    (1_234, "1.2 s"),
    (9_999, "9.9 s"),
    (10_000, "10 s"),
    (59_999, "59 s"),
    (60_000, "1 m"),
    (61_500, "1 m 1 s"),
    (3_600_000, "1 h"),
    (3_659_000, "1 h"),
    (3_900_000, "1 h 5 m"),
    (86_400_000, "1 d"),
    (90_000_000, "1 d 1 h"),
    (-61_000, "1 m 1 s"),
]


@pytest.mark.parametrize(("ms", "text"), DURATIONS)
def test_durations(ms: int, text: str):
    assert brief(ms) == text


@pytest.mark.parametrize(
    ("offset", "text"),
    [(0, "now"), (999, "now"), (-999, "now"), (5_400, "in 5 s"), (-5_400, "5 s ago"), (300_000, "in 5 m")],
)
def test_distances(offset: int, text: str):
    assert distance(Instant(10**12 + offset), Instant(10**12)) == text


def test_what_never_comes_has_no_distance():
    assert distance(NEVER, Instant(0)) == distance(None, Instant(0)) == ""
    assert (moment(NEVER), moment(None), moment(Instant(0))) == ("never", "-", "1970-01-01T00:00:00Z")
    assert times("at", NEVER) == times("at", None) == {"at": None, "at_ms": None}
    assert times("at", Instant(1)) == {"at": "1970-01-01T00:00:00.001Z", "at_ms": 1}


def test_text_of_others_moves_no_cursor():
    assert safe("grüße\n\x1b[31m\u202e") == "grüße\\n\\x1b[31m\\u202e"


def test_columns_are_as_wide_as_they_appear():
    table = Table(("NAME", "LAG"), [("日本", "1 s"), ("abcdef", "12 s")], frozenset(["LAG"]))
    assert plain(table).split("\n") == ["NAME     LAG", "日本     1 s", "abcdef  12 s"]

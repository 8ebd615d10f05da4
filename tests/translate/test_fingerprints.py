"""What is the same gets the same fingerprint, and what is not, another one."""

import functools
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import crontab

from celery_pyncette.fingerprints import digest
from celery_pyncette.translate import spec_of
from tests.translate.real import OffsettingSchedule


class Thing:
    def __init__(self, value):
        self.value = value


def entry(zone="Europe/Berlin", **keys):
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.timezone = zone
    return spec_of("e", {"task": "t", "schedule": crontab(hour=4), **keys}, app)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, "x", 2.5}, {"x", 2.5, 1}),
        ([1, 2], (1, 2)),
        (60, 60.0),
        (Thing({"a": [1]}), Thing({"a": [1]})),
        (BeatLazyFunc(len, "x"), BeatLazyFunc(len, "x")),
        (functools.partial(len, "x"), functools.partial(len, "x")),
        (object(), object()),
    ],
)
def test_same(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (1, True),
        (None, "None"),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": 2}),
        (Thing(1), Thing(2)),
        (BeatLazyFunc(len, "x"), BeatLazyFunc(len, "y")),
        (len, max),
        (timedelta(1), 86400),
        (ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")),
        (b"a", "a"),
    ],
)
def test_different(one, other):
    assert digest(one) != digest(other)


def test_objects_that_hold_themselves_come_to_an_end():
    loop = Thing(None)
    loop.value = [loop, {"x": loop}]
    assert len(digest(loop)) == 16


def test_payload_and_timing_are_told_apart():
    base = entry()
    for change in (
        {"args": (1,)},
        {"kwargs": {"a": 1}},
        {"options": {"queue": "q"}},
        {"task": "u"},
        {"enabled": False},
    ):
        changed = entry(**change)
        assert changed.timing == base.timing
        assert changed.payload != base.payload
    changed = entry(schedule=crontab(hour=5))
    assert changed.timing != base.timing
    assert changed.payload == base.payload


def test_the_zone_counts_where_local_time_does():
    assert entry().timing != entry(zone="Asia/Tokyo").timing
    assert entry(schedule=30).timing == entry(zone="Asia/Tokyo", schedule=30).timing
    assert entry(schedule=30, relative=True).timing != entry(zone="Asia/Tokyo", schedule=30, relative=True).timing


def test_the_spelling_of_a_crontab_counts_only_where_it_means_something():
    assert entry(schedule=crontab(hour="4")).timing == entry(schedule=crontab(hour=4)).timing
    assert entry(schedule=crontab(hour="4,5,6")).timing == entry(schedule=crontab(hour="4-6")).timing
    assert entry(schedule=crontab(0, 0, "1-6")).timing != entry(schedule=crontab(0, 0, "*")).timing


def test_opaque_schedules_are_told_by_what_they_hold():
    def made(minutes):
        return OffsettingSchedule(timedelta(minutes=minutes), timedelta(minutes=1))

    assert entry(schedule=made(5)).timing == entry(schedule=made(5)).timing
    assert entry(schedule=made(5)).timing != entry(schedule=made(6)).timing

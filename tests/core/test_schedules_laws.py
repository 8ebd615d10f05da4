"""Laws that hold for all schedules, at any time, in any zone."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import NEVER, Instant, instant_of
from celery_pyncette.core.schedules import (
    Cron,
    CronFields,
    Every,
    Frame,
    Jitter,
    Jittered,
    Once,
    Schedule,
    Solar,
    count_between,
    from_data,
    jitter_from_data,
    jitter_to_data,
    latest_at_or_before,
    to_data,
)

DAY = 86_400_000
START = instant_of(datetime(2026, 1, 1, tzinfo=timezone.utc))
END = instant_of(datetime(2028, 1, 1, tzinfo=timezone.utc))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata")
CHANGES = tuple(
    instant_of(datetime(2026, month, day, hour, tzinfo=timezone.utc))
    for month, day, hour in (
        (3, 29, 1),
        (10, 25, 1),
        (4, 4, 15),
        (10, 3, 15),
        (4, 5, 3),
        (9, 6, 4),
        (11, 1, 6),
        (3, 8, 7),
    )
)
PROFILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

near_changes = st.builds(lambda at, by: Instant(at + by), st.sampled_from(CHANGES), st.integers(-2 * DAY, 2 * DAY))
moments = near_changes | st.integers(START, END).map(Instant)


def sets(first: int, last: int) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(first, last), min_size=1) | st.just(frozenset(range(first, last + 1)))


fields = st.builds(
    CronFields,
    minute=sets(0, 59),
    hour=sets(0, 23),
    day_of_month=st.just(frozenset(range(1, 32))) | sets(1, 28),
    month=sets(1, 12),
    day_of_week=sets(0, 6),
    wild_minute=st.booleans(),
    wild_hour=st.booleans(),
)
item = st.sampled_from(["*", "*/7", "*/20", "0", "1", "5-9", "2,4", "3-6/2", "H"])
crons = st.builds(
    lambda minute, hour, day, month, weekday: Cron(f"{minute} {hour} {day} {month} {weekday}"),
    item,
    item,
    st.sampled_from(["*", "1", "L", "1-7", "15W", "?"]),
    st.sampled_from(["*", "3,4", "9-11", "JAN-MAR"]),
    st.sampled_from(["*", "?", "MON", "5#1", "1-5", "L0"]),
) | st.sampled_from([Cron("*/20 30 2 * * *", seconds="first"), Cron("@daily"), Cron("0 0 29 2 *")])
everies = st.builds(
    lambda ms, relative: Every.of_milliseconds(ms, relative=relative), st.integers(1000, 40 * DAY), st.booleans()
)
jitters = st.builds(Jitter, st.integers(1, 90_000), st.sampled_from(["random", "hash"]))
plain: st.SearchStrategy[Schedule] = crons | fields | everies
schedules: st.SearchStrategy[Schedule] = plain | st.builds(Jittered, plain, jitters)
frames = st.builds(
    lambda zone, name, anchor: Frame(ZoneInfo(zone), name, anchor),
    st.sampled_from(ZONES),
    st.text(min_size=1, max_size=8),
    st.integers(START - 400 * DAY, START).map(Instant),
)


@PROFILE
@given(schedules, frames, moments)
def test_next_after_strictly_increases(schedule: Schedule, frame: Frame, moment: Instant) -> None:
    for _ in range(12):
        following = schedule.next_after(moment, frame)
        assert following > moment
        if following == NEVER:
            break
        moment = following


@PROFILE
@given(schedules, frames, moments, st.integers(0, 3 * DAY))
def test_nothing_is_due_between_a_moment_and_its_next_due_time(
    schedule: Schedule, frame: Frame, moment: Instant, later: int
) -> None:
    following = schedule.next_after(moment, frame)
    between = Instant(min(moment + later, following - 1))
    assert schedule.next_after(between, frame) == following


@PROFILE
@given(schedules, frames, moments, st.integers(0, 60))
def test_the_latest_and_the_count_agree_with_a_walk(
    schedule: Schedule, frame: Frame, moment: Instant, steps: int
) -> None:
    first = schedule.next_after(moment, frame)
    walk = [first]
    for _ in range(steps):
        walk.append(schedule.next_after(walk[-1], frame))
    following = schedule.next_after(walk[-1], frame)
    if following == NEVER:
        return
    for now in (walk[-1], Instant(following - 1), Instant((walk[-1] + following) // 2)):
        assert latest_at_or_before(schedule, first, now, frame) == walk[-1]
    assert count_between(schedule, first, following, frame) == (len(walk), False)
    assert count_between(schedule, first, walk[-1], frame) == (len(walk) - 1, False)
    assert count_between(schedule, first, Instant(walk[-1] + 1), frame) == (len(walk), False)


class Counting:
    """A schedule that counts how often it is asked."""

    def __init__(self, inner: Schedule) -> None:
        self.inner, self.asked = inner, 0

    def next_after(self, moment: Instant, frame: Frame) -> Instant:
        self.asked += 1
        return self.inner.next_after(moment, frame)


@pytest.mark.parametrize(
    "schedule",
    [Cron("* * * * * *", seconds="first"), Cron("*/5 * * * *"), Cron("0 0 29 2 *"), Every(90, relative=True), Every(1)],
)
def test_catching_up_takes_bounded_time_however_much_was_missed(schedule: Schedule) -> None:
    frame = Frame(ZoneInfo("Europe/Berlin"), "an entry", START)
    counting = Counting(schedule)
    first = schedule.next_after(START, frame)
    now = instant_of(datetime(2126, 6, 1, tzinfo=timezone.utc))
    latest = latest_at_or_before(counting, first, now, frame)
    assert latest <= now < schedule.next_after(latest, frame)
    assert counting.asked < 120
    counting.asked = 0
    count, at_least = count_between(counting, first, now, frame, cap=50)
    assert at_least == (count == 50)
    assert counting.asked <= 60


def test_intervals_are_counted_exactly_whatever_their_number() -> None:
    frame = Frame(timezone.utc, "an entry", START)
    assert count_between(Every(1), Instant(START + 1000), END, frame) == ((END - START) // 1000 - 1, False)
    assert count_between(Every(1), END, START, frame) == (0, False)
    assert count_between(Once(START), START, END, frame) == (1, False)


def test_the_latest_is_not_asked_for_before_anything_is_due() -> None:
    with pytest.raises(ValueError):
        latest_at_or_before(Every(1), END, START, Frame(timezone.utc, "an entry", START))


def test_a_due_time_off_the_grid_is_kept_until_the_grid_passes_it() -> None:
    frame = Frame(timezone.utc, "an entry", Instant(0))
    assert latest_at_or_before(Every(10), Instant(13_000), Instant(19_999), frame) == 13_000
    assert latest_at_or_before(Every(10), Instant(13_000), Instant(20_000), frame) == 20_000


# --- jitter ----------------------------------------------------------------------------------------------------------


@PROFILE
@given(plain, jitters, frames, moments)
def test_jitter_delays_each_occurrence_by_less_than_the_window_and_the_gap(
    schedule: Schedule, jitter: Jitter, frame: Frame, moment: Instant
) -> None:
    occurrence = schedule.next_after(moment, frame)
    delayed = Jittered(schedule, jitter)
    due = delayed.next_after(Instant(occurrence - 1), frame)
    for _ in range(8):
        following = schedule.next_after(occurrence, frame)
        if following == NEVER:
            return
        expected = occurrence + jitter.delay(occurrence, following, frame)
        assert occurrence <= expected < min(following, occurrence + jitter.window_ms)
        if due < occurrence:  # of the occurrence before
            due = delayed.next_after(due, frame)
        assert due == expected
        occurrence, due = following, delayed.next_after(due, frame)


def test_hash_jitter_is_stable_and_spreads_names_random_jitter_spreads_occurrences() -> None:
    def delays(spread: str, name: str) -> list[int]:
        frame, schedule = Frame(timezone.utc, name, Instant(0)), Every(3600)
        jitter = Jitter(600, spread)  # type: ignore[arg-type]
        return [
            jitter.delay(Instant(n), schedule.next_after(Instant(n), frame), frame)
            for n in range(0, 50 * 3_600_000, 3_600_000)
        ]

    assert len(set(delays("hash", "a"))) == 1
    spread = {delays("hash", f"entry {n}")[0] for n in range(300)}
    assert len(spread) > 290
    assert min(spread) < 20_000
    assert max(spread) > 580_000
    assert len(set(delays("random", "a"))) > 45
    assert delays("random", "a") == delays("random", "a") != delays("random", "b")


def test_jitter_may_be_longer_than_the_gap_and_delay_a_single_point() -> None:
    frame = Frame(timezone.utc, "an entry", Instant(0))
    due, seen = Instant(0), []
    for _ in range(100):
        due = Jittered(Every(1), Jitter(3600)).next_after(due, frame)
        seen.append(due // 1000)
    assert seen == list(range(seen[0], seen[0] + 100))
    once = Jittered(Once(Instant(5_000_000)), Jitter(3600, "hash"))
    due = once.next_after(Instant(0), frame)
    assert 5_000_000 < due < 8_600_000
    assert once.next_after(Instant(5_000_000), frame) == due
    assert once.next_after(due, frame) == NEVER


@pytest.mark.parametrize("window", [0, -1, float("nan"), float("inf"), True, "5", None, 0.0001])
def test_bad_jitter_is_refused(window: object) -> None:
    with pytest.raises(InvalidEntry) as refused:
        Jitter(window)  # type: ignore[arg-type]
    assert refused.value.field == "jitter"


# --- plain data ------------------------------------------------------------------------------------------------------


@PROFILE
@given(schedules | st.builds(Once, moments) | st.just(Solar("sunset", 52, 13.4)))
def test_schedules_survive_as_plain_data_and_equal_ones_look_equal(schedule: Schedule) -> None:
    data = to_data(schedule)
    assert from_data(json.loads(json.dumps(data))) == schedule
    assert json.dumps(to_data(from_data(data)), sort_keys=True) == json.dumps(data, sort_keys=True)
    assert hash(from_data(data)) == hash(schedule)


def test_blanks_make_no_other_schedule_and_the_zone_does() -> None:
    assert to_data(Cron("  0   0 * * * ")) == to_data(Cron("0 0 * * *")) == {"kind": "cron", "expr": "0 0 * * *"}
    assert to_data(Cron("0 0 * * *", timezone="UTC")) == {"kind": "cron", "expr": "0 0 * * *", "timezone": "UTC"}
    assert to_data(Every(1.5)) == {"kind": "every", "ms": 1500}
    jitter = Jitter(5, "hash")
    assert jitter_from_data(jitter_to_data(jitter)) == jitter


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
kinds = st.sampled_from(["cron", "fields", "every", "once", "solar", "jittered", "sometimes"])
keys = st.sampled_from(
    ["expr", "seconds", "timezone", "ms", "relative", "at", "event", "lat", "lon", "schedule", "jitter", "hour"]
)


@settings(max_examples=300, deadline=None)
@given(json_values | st.builds(lambda kind, rest: {**rest, "kind": kind}, kinds, st.dictionaries(keys, json_values)))
def test_rubbish_is_refused_and_nothing_else_is_raised(data: object) -> None:
    try:
        schedule = from_data(data)
    except InvalidEntry:
        return
    assert from_data(to_data(schedule)) == schedule


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "cron",
        {},
        {"kind": "cron"},
        {"kind": "cron", "expr": "0 0 * * *", "more": 1},
        {"kind": "cron", "expr": "61 0 * * *"},
        {"kind": "every", "ms": 1.5},
        {"kind": "every", "ms": True},
        {"kind": "every", "ms": 10**30},
        {"kind": "every", "ms": 1000, "relative": 1},
        {"kind": "fields", "minute": [0]},
        {"kind": "once", "at": "tomorrow"},
        {"kind": "once", "at": NEVER},
        {"kind": "solar", "event": "sunset", "lat": 91, "lon": 0},
        {"kind": "jittered", "schedule": {"kind": "every", "ms": 5}, "jitter": {"ms": 5}},
    ],
)
def test_damaged_data_is_refused(data: object) -> None:
    with pytest.raises(InvalidEntry):
        from_data(data)


def test_a_schedule_of_another_kind_has_no_stored_form() -> None:
    with pytest.raises(InvalidEntry):
        to_data(Counting(Every(1)))


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="0123456789*/-,#?LWHRmonfri @", max_size=30)
    | st.lists(st.text(alphabet="059*/-,#LWH?", max_size=5), min_size=5, max_size=7).map(" ".join)
)
def test_any_string_is_read_or_refused(expr: str) -> None:
    for seconds in (None, "first", "last"):
        try:
            cron = Cron(expr, seconds=seconds)
        except InvalidEntry:
            continue
        else:
            assert cron.next_after(START, Frame(ZoneInfo("Europe/Berlin"), "an entry", START)) > START

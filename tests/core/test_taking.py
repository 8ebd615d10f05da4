"""Of what is due, which fires and which is skipped: a table, and the laws that hold for each mode."""

from __future__ import annotations

from datetime import timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import CatchUp, Rules
from celery_pyncette.core.records import EntrySpec, Origin, Pause, Skip
from celery_pyncette.core.schedules import Every
from celery_pyncette.core.taking import COUNT_CAP, DueTimes, OneTime, skip_all, take

MINUTE = 60_000
FIRST = Instant(1_000 * MINUTE)


def every(interval: int = MINUTE, end: Instant | None = None) -> DueTimes:
    spec = EntrySpec(name="e", task="t", origin=Origin.DYNAMIC, end=end)
    return times_of(spec, Every.of_milliseconds(interval), timezone.utc, Instant(FIRST - interval))


@pytest.mark.parametrize(
    ("mode", "grace", "minutes_late", "fires", "skipped", "next_due"),
    [
        (CatchUp.LATEST, None, 0, 0, 0, 1),
        (CatchUp.LATEST, None, 3, 3, 3, 4),
        (CatchUp.LATEST, 30_000, 3.4, 3, 3, 4),
        (CatchUp.LATEST, 30_000, 3.6, None, 4, 4),
        (CatchUp.ALL, None, 3, 0, 0, 1),
        (CatchUp.ALL, 2 * MINUTE, 3, 1, 1, 2),
        (CatchUp.NONE, 30_000, 0.5, 0, 0, 1),
        (CatchUp.NONE, 30_000, 0.6, None, 1, 1),
        (CatchUp.NONE, 30_000, 3.4, 3, 3, 4),
        (CatchUp.NONE, 30_000, 3.6, None, 4, 4),
    ],
)
def test_take(
    mode: CatchUp, grace: int | None, minutes_late: float, fires: int | None, skipped: int, next_due: int
) -> None:
    now = Instant(FIRST + int(minutes_late * MINUTE))
    taken = take(FIRST, now, every(), Rules(catch_up=mode, grace=grace))
    assert taken.fire == (None if fires is None else FIRST + fires * MINUTE)
    assert (0 if taken.skips is None else taken.skips.count) == skipped
    assert taken.next_due == FIRST + next_due * MINUTE
    if taken.skips is not None:
        assert (taken.skips.due_at, taken.skips.until) == (FIRST, FIRST + (skipped - 1) * MINUTE)


@given(
    st.integers(1, 5_000),
    st.integers(0, 2_000_000),
    st.sampled_from(CatchUp),
    st.none() | st.integers(0, 100_000),
    st.none()
    | st.builds(
        Pause,
        until=st.integers(FIRST - 5, FIRST + 2_000_000),
        catch_up=st.none() | st.sampled_from([m.value for m in CatchUp]),
    ),
)
def test_each_due_time_up_to_now_is_fired_skipped_or_left_as_next(
    interval: int, late: int, mode: CatchUp, grace: int | None, pause: Pause | None
) -> None:
    now, of = Instant(FIRST + late), every(interval)
    taken = take(FIRST, now, of, Rules(catch_up=mode, grace=grace), pause)
    skipped = 0 if taken.skips is None else taken.skips.count
    assert taken.expected >= 1
    assert taken.next_due == FIRST + taken.expected * interval
    if taken.fire is None:
        assert taken.next_due > now
    else:
        assert taken.fire == FIRST + skipped * interval <= now
        assert grace is None or taken.fire >= now - grace


def test_what_is_left_of_an_ended_entry_is_counted_to_its_end() -> None:
    end = Instant(FIRST + 2 * MINUTE)
    taken = skip_all(FIRST, Instant(FIRST + 10 * MINUTE), every(end=end), Skip.DEADLINE)
    assert (taken.fire, taken.next_due) == (None, NEVER)
    assert taken.skips is not None
    assert (taken.skips.count, taken.skips.until, taken.skips.reason) == (3, end, Skip.DEADLINE)


def test_beyond_the_cap_it_is_at_least_so_many() -> None:
    class Irregular:
        def next_after(self, moment: Instant) -> Instant:
            return Instant(moment - (moment - FIRST) % 10 + 10)

        def latest(self, due_at: Instant, now: Instant) -> Instant:
            return Instant(now - (now - FIRST) % 10)

        def count(self, first: Instant, until: Instant, cap: int) -> tuple[int, bool]:
            number = -(-(until - first) // 10)
            return min(number, cap), number > cap

    taken = take(FIRST, Instant(FIRST + 100_000), Irregular(), Rules())
    assert taken.skips is not None
    assert (taken.skips.count, taken.skips.at_least) == (COUNT_CAP, True)


def test_what_is_due_once_is_due_once() -> None:
    once = OneTime(FIRST)
    assert (once.next_after(Instant(FIRST - 1)), once.next_after(FIRST)) == (FIRST, NEVER)
    taken = take(FIRST, Instant(FIRST + 99), once, Rules())
    assert (taken.fire, taken.next_due, taken.skips) == (FIRST, NEVER, None)
    assert take(FIRST, Instant(FIRST + 99), once, Rules(catch_up=CatchUp.NONE, grace=50)).expected == 1

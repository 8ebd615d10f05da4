"""The account of the churn sees each thing that it is there to see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.churn import account
from tests.churn.account import Change, Final, Ran
from tests.churn.plan import kind_of

#: A steady name, and one that is also paused and removed.
STEADY, OTHER = "churn-0", "churn-6"
FIRST = Change("schedule", OTHER, "1.1", 100, 110, True, generation="a", next_due=2100, interval=2000)
SECOND = replace(FIRST, change="2.1", start=120, end=130, generation="b")
REMOVED = Change("remove", OTHER, "3.1", 140, 150, True)
PAUSED = Change("pause", OTHER, "3.2", 140, 150, True, generation="b", paused="3.2", next_due=2100)
RAN = Ran(OTHER, "b", 2100, "2.1", 2105)


def test_the_names_are_what_the_account_takes_them_for():
    assert kind_of(STEADY).steady
    assert not kind_of(OTHER).steady


@pytest.mark.parametrize(
    ("changes", "there", "complaints"),
    [
        ([FIRST, SECOND], Final("b", "2.1", None), 0),
        ([FIRST, SECOND], Final("a", "1.1", None), 1),
        ([FIRST, SECOND], Final("b", "1.1", None), 1),
        ([FIRST, SECOND], None, 1),
        ([FIRST, SECOND, REMOVED], None, 0),
        ([FIRST, SECOND, REMOVED], Final("b", "2.1", None), 1),
        ([FIRST, replace(SECOND, start=105)], Final("a", "1.1", None), 0),
        ([FIRST, replace(REMOVED, done=False)], Final("a", "1.1", None), 0),
        ([], Final("a", "1.1", None), 1),
    ],
)
def test_a_definition_that_is_not_the_last_one_is_seen(changes, there, complaints):
    final = {} if there is None else {OTHER: there}
    assert len(account.wrong_definitions(changes, final)) == complaints


@pytest.mark.parametrize(
    ("changes", "note", "complaints"),
    [
        ([SECOND, PAUSED], "3.2", 0),
        ([SECOND, PAUSED], None, 1),
        ([SECOND, PAUSED, replace(PAUSED, verb="resume", start=160, end=170)], "3.2", 1),
        ([SECOND, PAUSED, replace(REMOVED, start=160, end=170), replace(FIRST, start=180, end=190)], "3.2", 1),
        ([SECOND, PAUSED, replace(REMOVED, start=160, end=170), replace(FIRST, start=165, end=175)], "3.2", 0),
    ],
)
def test_a_pause_that_is_not_the_last_one_is_seen(changes, note, complaints):
    assert len(account.wrong_pauses(changes, {OTHER: Final("b", "2.1", note)})) == complaints


@pytest.mark.parametrize(
    ("run", "complaints"),
    [
        (RAN, 0),
        (replace(RAN, generation="c"), 1),
        (replace(RAN, change="1.1"), 1),
        (replace(RAN, generation="a", change="1.1"), 1),
        (replace(RAN, generation="a", change="1.1", due_at=125), 0),
    ],
)
def test_a_run_that_no_definition_asked_for_is_seen(run, complaints):
    assert len(account.ghosts([FIRST, SECOND], [run])) == complaints


def test_a_run_in_a_pause_is_seen():
    assert account.in_pauses([SECOND, PAUSED], [replace(RAN, due_at=145)]) == []
    assert len(account.in_pauses([SECOND, PAUSED], [RAN])) == 1
    assert account.in_pauses([SECOND, PAUSED, replace(PAUSED, verb="resume", start=2102, end=2103)], [RAN]) == []


def test_what_must_run_is_known_where_nothing_was_paused_or_removed():
    assert account.expected([FIRST, SECOND], 6500) == {(OTHER, 2100), (OTHER, 4100), (OTHER, 6100)}
    assert account.expected([FIRST, replace(SECOND, start=105)], 6500) == set()
    assert account.expected([SECOND, PAUSED], 6500) == set()
    assert account.expected([replace(FIRST, next_due=90)], 6500) == {(OTHER, 90)}
    steady = [replace(FIRST, name=STEADY), replace(SECOND, name=STEADY, start=105, next_due=4100)]
    assert account.expected(steady, 4500) == {(STEADY, 2100), (STEADY, 4100)}
    assert (
        len(account.off_their_times(steady, [replace(RAN, name=STEADY), replace(RAN, name=STEADY, due_at=2101)])) == 1
    )


def test_copies_are_counted():
    assert account.copies([RAN, RAN, RAN, replace(RAN, due_at=4100)]) == [(OTHER, 2100)] * 2

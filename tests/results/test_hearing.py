"""What is asked of a result backend, and what is made of its answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Backend
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Outcome, Record, Run
from celery_pyncette.engine.results import MOST_ATTEMPTS, Bounded, Heard, Hearing, ResultsUnavailable, attempts
from celery_pyncette.events import Observers, ResultsBack, ResultsLost
from tests.engine.desk import Events
from tests.results.desk import ToldResults, id_of
from tests.support.wait import wait_until

KEY = Key("d:report")
RUN = Run(due_at=Instant(1_000), generation="g", dispatched_at=Instant(1_100))


def record(run: Run | None = RUN, **changes: object) -> Record:
    spec = EntrySpec(name="report", task="t", origin=Origin.DYNAMIC)
    made = Record(key=KEY, lane=Lane.ENTRIES, generation="g", spec=spec, run=run)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def results() -> ToldResults:
    return ToldResults()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def hearing(results: ToldResults, events: Events) -> Hearing:
    return Hearing("ns", results, Observers([events]))


@pytest.mark.parametrize(
    ("attempt", "unstarted", "asked"),
    [(1, 0, [1]), (4, 0, [4]), (4, 2, [4, 3, 2]), (3, 2, [3, 2, 1]), (2, 2, [2, 1]), (1, 1, [1])],
)
def test_all_dispatches_since_the_last_start_are_asked_for(attempt: int, unstarted: int, asked: list[int]) -> None:
    run = replace(RUN, attempt=attempt, unstarted=unstarted)
    assert attempts("ns", KEY, run) == [id_of(KEY, run, number) for number in asked]


def test_copies_that_have_expired_for_days_are_not_asked_for() -> None:
    run = replace(RUN, attempt=500, unstarted=499)
    assert len(attempts("ns", KEY, run)) == MOST_ATTEMPTS
    assert attempts("ns", KEY, run)[0] == id_of(KEY, run, 500)


@pytest.mark.parametrize(
    "other",
    [
        record(None),
        record(replace(RUN, started_at=Instant(5))),
        record(replace(RUN, outcome=Outcome.SUCCEEDED)),
        record(removed=True),
        record(generation="another"),
    ],
    ids=["no run", "running", "reported", "removed", "replaced"],
)
def test_only_open_runs_are_asked_about(hearing: Hearing, results: ToldResults, other: Record) -> None:
    assert hearing.hear([other]) == {}
    assert results.asked == []


def test_a_batch_is_one_question(hearing: Hearing, results: ToldResults) -> None:
    hearing.hear([record(key=Key(f"d:{number}")) for number in range(50)])
    assert [len(ids) for ids in results.asked] == [50]


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ({1: Backend.FAILURE, 2: Backend.SUCCESS, 3: Backend.STARTED}, (Backend.SUCCESS, 2)),
        ({2: Backend.FAILURE, 3: Backend.STARTED}, (Backend.FAILURE, 2)),
        ({1: Backend.REVOKED, 3: Backend.STARTED}, (Backend.REVOKED, 1)),
        ({1: Backend.STARTED, 3: Backend.STARTED}, (Backend.STARTED, 3)),
        ({}, None),
    ],
)
def test_the_strongest_word_of_all_attempts_counts(
    hearing: Hearing, results: ToldResults, said: dict[int, Backend], counts: tuple[Backend, int] | None
) -> None:
    run = replace(RUN, attempt=3, unstarted=2)
    results.known = {id_of(KEY, run, attempt): state for attempt, state in said.items()}
    expected = Heard() if counts is None else Heard(counts[0], id_of(KEY, run, counts[1]))
    assert hearing.hear([record(run)]) == {KEY: expected}


def test_a_backend_that_is_away_is_told_once_and_again_when_it_is_back(
    hearing: Hearing, results: ToldResults, events: Events
) -> None:
    results.down = ConnectionError("refused")
    for _ in range(3):
        assert hearing.hear([record()]) == {KEY: Heard(answered=False)}
    assert events.seen == [ResultsLost(error="ConnectionError: refused")]
    results.down = None
    hearing.hear([record()])
    hearing.hear([record()])
    assert events.seen[1:] == [ResultsBack()]


def test_a_run_is_not_decided_on_until_all_its_attempts_are_answered(hearing: Hearing, results: ToldResults) -> None:
    run = replace(RUN, attempt=2, unstarted=1)
    results.unsaid = {id_of(KEY, run, 1)}
    assert hearing.hear([record(run), record(key=Key("d:other"))]) == {
        KEY: Heard(answered=False),
        Key("d:other"): Heard(),
    }


class Slow:
    """Says one id each time it is let."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.asked = 0

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, Backend | None]]:
        self.asked += 1
        for one in ids:
            assert self.let.acquire(timeout=10)
            yield one, Backend.SUCCESS


def test_a_backend_that_hangs_costs_its_time_once() -> None:
    slow = Slow()
    bounded = Bounded(slow, 0.05)
    with pytest.raises(ResultsUnavailable, match=r"within 0\.05 s"):
        bounded.states(["a"])
    for _ in range(3):
        with pytest.raises(ResultsUnavailable, match="last question"):
            bounded.states(["a"])
    assert slow.asked == 1
    slow.let.release(2)
    wait_until(lambda: bounded.states(["a"]) == {"a": Backend.SUCCESS}, swallow=(ResultsUnavailable,))


def test_a_slow_backend_is_taken_at_what_it_had_time_to_say() -> None:
    slow = Slow()
    bounded = Bounded(slow, 0.3)
    slow.let.release(3)
    assert bounded.states(list("abcdef")) == dict.fromkeys("abc", Backend.SUCCESS)
    slow.let.release(10)
    wait_until(lambda: len(bounded.states(list("def"))) == 3, swallow=(ResultsUnavailable,))


def test_an_error_of_the_backend_is_raised_as_it_is(results: ToldResults) -> None:
    results.down = OSError("no route")
    with pytest.raises(OSError, match="no route"):
        Bounded(results, 5).states(["a"])
    results.down = None
    assert Bounded(results, 5).states(["a"]) == {"a": None}


def test_what_was_said_before_an_error_counts() -> None:
    class Broken:
        def read(self, ids: Sequence[str]) -> Iterator[tuple[str, Backend | None]]:
            yield ids[0], None
            raise OSError("reset")

    assert Bounded(Broken(), 5).states(["a", "b"]) == {"a": None}

"""Beats that hear of one another; the broker's part is in tests/integration."""

from __future__ import annotations

import pytest
from celery import Celery

from celery_pyncette.beat.hearsay import Hearsay
from celery_pyncette.events import ForeignStore
from celery_pyncette.testing import FakeClock


class Ear:
    """A beat's hearsay without a broker."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.reported: list[ForeignStore] = []
        app = Celery("app", set_as_current=False)
        self.hearsay = Hearsay(app, clock, namespace="n", store_id="ours", beat="me", report=self.reported.append)

    def hear(self, store: str, beat: str = "other", namespace: str = "n") -> None:
        self.hearsay._hear({"namespace": namespace, "store": store, "beat": beat}, None)

    def later(self, seconds: float) -> list[str]:
        """The stores reported so far, after some time."""
        self.clock.advance(seconds)
        self.hearsay.report()
        return [event.theirs for event in self.reported]


@pytest.fixture
def ear() -> Ear:
    return Ear(FakeClock())


def test_another_store_is_reported_once_it_had_time_to_correct_itself(ear: Ear):
    ear.hear("theirs")
    assert ear.hearsay.doubts
    assert ear.later(1) == []
    assert ear.later(3) == ["theirs"]
    assert ear.reported[0].ours == "ours"


def test_the_same_store_is_not_reported_again_at_once(ear: Ear):
    for beat in ("other", "third", "other"):
        ear.hear("theirs", beat)
        ear.later(4)
    assert ear.later(1) == ["theirs"]
    ear.clock.advance(31)
    ear.hear("theirs")
    assert ear.later(4) == ["theirs", "theirs"]


def test_a_beat_that_learns_of_the_new_store_in_time_is_not_reported(ear: Ear):
    ear.hear("old")
    ear.hear("ours")
    assert ear.later(10) == []


def test_when_it_is_our_own_store_that_is_new_nobody_is_reported(ear: Ear):
    ear.hear("new")
    ear.hearsay.now_in("new")
    assert ear.later(10) == []
    ear.hear("new")
    assert ear.later(10) == []


@pytest.mark.parametrize("body", [None, "text", {}, {"namespace": "another", "store": "x"}, {"store": "x"}])
def test_what_is_not_about_this_namespace_is_ignored(ear: Ear, body: object):
    ear.hearsay._hear(body, None)
    assert not ear.hearsay.doubts
    assert ear.later(10) == []


def test_it_speaks_at_the_start_each_minute_and_in_answer_to_a_foreign_beat(ear: Ear):
    speaks = ear.hearsay.speaks
    assert [speaks(), speaks()] == [True, False]
    ear.clock.advance(59)
    assert not speaks()
    ear.clock.advance(1)
    assert [speaks(), speaks()] == [True, False]
    ear.hear("theirs")
    assert [speaks(), speaks()] == [True, False]
    ear.hear("ours")
    assert not speaks()
    ear.hearsay.now_in("new")
    assert speaks(), "the others are told at once"

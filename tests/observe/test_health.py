"""What probes are told, event by event, with a clock that is moved by hand."""

from __future__ import annotations

import json

import pytest

from celery_pyncette import events
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.observe.health import FOREIGN_FOR, Health
from celery_pyncette.testing.clock import FakeClock

FOREIGN = events.ForeignStore(namespace="ns", ours="a", theirs="b", beat="x")


class Beat:
    """A beat that does what the test says, and its health."""

    def __init__(self, grace: float = 2.0, stuck_after: float = 60.0) -> None:
        self.clock = FakeClock()
        self.health = Health(self.clock, grace=grace, stuck_after=stuck_after)

    def see(self, *seen: events.Event) -> Beat:
        for event in seen:
            self.health.see(event)
        return self

    def asks(self, operation: str = "claim") -> Beat:
        return self.see(events.StoreAsked(operation=operation))

    def answered(self, operation: str = "claim", error: str | None = None) -> Beat:
        return self.see(events.StoreCalled(operation=operation, seconds=0.1, error=error))

    def claims(self, count: int = 0, *, due_for: float | None = None, next_in: float = 3600.0) -> Beat:
        now = self.clock.now()
        oldest = None if due_for is None else Instant(now - int(due_for * 1000))
        after = Instant(now + int(next_in * 1000))
        return (
            self.asks().answered().see(events.Claimed(lane=0, count=count, now=now, oldest=oldest, next_ready_at=after))
        )

    def starts(self) -> Beat:
        return self.see(
            events.BeatStarted(store="s", namespace="n", store_id="i", beat="b", others=0),
            events.NeighboursSeen(beats=2, workers=3),
        )

    def told(self) -> tuple[bool, bool, bool]:
        """healthy, live, ready."""
        return self.health.health().well, self.health.live().well, self.health.ready().well


@pytest.fixture
def beat() -> Beat:
    return Beat()


def test_before_it_has_started_it_is_alive_and_no_more(beat: Beat):
    assert beat.told() == (False, True, False)


def test_a_beat_that_polls_is_well(beat: Beat):
    assert beat.starts().claims().told() == (True, True, True)


def test_it_is_healthy_for_less_than_the_grace(beat: Beat):
    beat.starts().claims().clock.advance(1.999)
    assert beat.health.health().well
    beat.clock.advance(0.001)
    assert not beat.health.health().well


def test_each_claim_counts_as_a_poll_so_a_long_burst_keeps_it_green(beat: Beat):
    beat.starts()
    for _ in range(20):
        beat.claims(100, due_for=30.0, next_in=-30.0).clock.advance(1.5)
        assert beat.health.health().well


def test_a_store_that_fails_makes_it_unready_at_once_and_unhealthy_soon(beat: Beat):
    beat.starts().claims().asks().answered(error="StoreUnavailable")
    assert beat.told() == (True, True, False)
    beat.clock.advance(2)
    assert beat.told() == (False, True, False)
    assert beat.claims().told() == (True, True, True)


def test_a_store_that_lets_it_wait_is_not_reachable(beat: Beat):
    beat.starts().claims().asks("apply").clock.advance(2.5)
    assert beat.told() == (False, True, False)
    assert beat.answered("apply").health.ready().well


def test_an_outage_is_no_reason_to_restart_it(beat: Beat):
    beat.starts().claims()
    for _ in range(100):
        beat.clock.advance(10)
        beat.see(events.TickBegan(), events.Ticked(seconds=9, claimed=0, sent=0, error="away"))
        assert beat.health.live().well


def test_a_loop_without_a_sign_of_life_is_stuck(beat: Beat):
    beat.starts().claims().clock.advance(59.9)
    assert beat.health.live().well
    beat.clock.advance(0.1)
    assert beat.health.live().problems == ("the loop is stuck",)
    assert beat.see(events.Ticked(seconds=60, claimed=0, sent=0)).health.live().well


def test_a_foreign_store_makes_it_unhealthy_until_it_is_silent(beat: Beat):
    beat.starts().claims().see(FOREIGN, FOREIGN)
    assert not beat.health.health().well
    assert beat.health.foreign == 1
    beat.clock.advance(FOREIGN_FOR)
    assert beat.claims().health.health().well


def test_the_broker_is_told_but_decides_nothing(beat: Beat):
    beat.starts().claims().see(events.BrokerLost())
    assert beat.health.health().body["broker_reachable"] is False
    assert beat.told() == (True, True, True)
    assert beat.see(events.BrokerBack()).health.health().body["broker_reachable"] is True


def test_leases_are_in_hand_until_the_cycle_has_ended(beat: Beat):
    beat.claims(7)
    assert beat.health.health().body["leases_in_hand"] == 7
    beat.see(events.CycleEnded(lane=0, in_hand=2))
    assert beat.health.health().body["leases_in_hand"] == 2


def test_the_lag_is_that_of_the_oldest_due_record(beat: Beat):
    assert beat.health.lag == 0
    beat.claims(1, due_for=0.25)
    assert beat.health.lag == pytest.approx(0.25)
    beat.see(events.CycleEnded(lane=0, in_hand=0))
    assert beat.health.lag == 0


def test_what_the_limit_of_a_claim_has_left_behind_lags(beat: Beat):
    beat.claims(100, due_for=12, next_in=-9).see(events.CycleEnded(lane=0, in_hand=0))
    assert beat.health.lag == pytest.approx(9)


def test_while_nothing_is_claimed_the_lag_grows(beat: Beat):
    beat.claims(next_in=3).see(events.CycleEnded(lane=0, in_hand=0)).clock.advance(10)
    assert beat.health.lag == pytest.approx(7)


def test_with_nothing_scheduled_there_is_no_lag(beat: Beat):
    now = beat.clock.now()
    beat.see(events.Claimed(lane=1, count=0, now=now, oldest=None, next_ready_at=NEVER)).clock.advance(1e6)
    assert beat.health.lag == 0


def test_the_offset_of_the_stores_clock(beat: Beat):
    later = Instant(beat.clock.now() + 1500)
    beat.see(events.Claimed(lane=0, count=0, now=later, oldest=None, next_ready_at=NEVER))
    assert beat.health.states()["pyncette_store_clock_offset_seconds"] == 1.5


def test_bodies_are_json_and_have_no_names(beat: Beat):
    beat.starts().claims(3, due_for=1)
    for answer in (beat.health.health(), beat.health.live(), beat.health.ready()):
        body = json.loads(json.dumps(answer.body))
        assert set(body) == {
            "problems",
            "started",
            "store_reachable",
            "broker_reachable",
            "last_poll_seconds",
            "loop_seconds",
            "lag_seconds",
            "leases_in_hand",
            "clock_offset_seconds",
            "foreign_stores",
            "beats",
            "gated_workers",
        }
        assert (body["beats"], body["gated_workers"]) == (2, 3)

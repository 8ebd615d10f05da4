"""A beat is killed, or stops for 20 seconds: the other one goes on."""

from __future__ import annotations

import time

import pytest

from tests.faults.places import crossed
from tests.faults.stage import CHUNK, CLAIM_TIME, LEAST, MOST, PATIENCE, Stage
from tests.support.wait import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.mark.parametrize(("store", "broker"), crossed(diagonal=[("sqlite", "redis")]))
def test_either_beat_is_killed_between_two_occurrences(stage: Stage):
    """And comes back, and then the other one is killed."""
    stage.write()
    with stage.drain:
        first, second = stage.start_beat(), stage.start_beat()
        anchored = stage.anchored()
        wait_until(lambda: len(stage.drain.messages) >= 10, PATIENCE, "two rounds went out")
        stage.between_two(anchored)
        first.kill()
        killed_at = time.time()
        wait_until(lambda: _messages_after(stage, killed_at) >= 5, PATIENCE, "the other one goes on")
        third = stage.start_beat()
        stage.between_two(anchored)
        second.kill()
        killed_at = time.time()
        wait_until(lambda: _messages_after(stage, killed_at) >= 5, PATIENCE, "the new one goes on")
        stage.until_all_sent(anchored)
        assert third.alive
        stage.stop()
    stage.account()


@pytest.mark.parametrize(("store", "broker"), crossed(diagonal=[("redis", "rabbitmq")]))
def test_the_beat_that_sends_a_batch_is_killed_in_the_middle_of_it(stage: Stage):
    stage.write(batch=150)
    with stage.drain:
        stage.start_beat(), stage.start_beat()
        anchored = stage.anchored()
        stage.slowly()
        victim = stage.middle_of_batch()
        _let_it_send(stage, victim, 20)
        victim.kill()
        killed_at = time.time()
        stage.at_full_speed()
        survivor = next(beat for beat in stage.beats if beat.alive)
        stage.until_all_sent(anchored, (LEAST,), CLAIM_TIME + 10)
        wait_until(lambda: stage.sent_by(survivor, r"\w+-10s-") >= 1, PATIENCE, "the other one takes over the batch")
        stage.until_all_sent(anchored, (LEAST,), CLAIM_TIME + 10)
        # At most once is used up before it is sent: what the victim had in hand is lost, one chunk at most.
        due = anchored.due(int(killed_at * 1000), MOST)
        wait_until(
            lambda: len(due - {message.occurrence for message in list(stage.drain.messages)}) <= CHUNK,
            PATIENCE,
            "at most one chunk is lost",
        )
        stage.stop()
    assert stage.sent_by(victim, r"\w+-10s-") < 150, "it was not the middle of the batch"
    stage.account(fault_at=killed_at, most_copies=CHUNK)


@pytest.mark.parametrize(("store", "broker"), crossed(diagonal=[("mariadb", "redis")]))
def test_a_beat_stops_for_20_seconds_in_the_middle_of_a_batch(stage: Stage):
    """The other goes on; what the first one does when it wakes up is refused, or a copy."""
    stage.write(batch=150)
    with stage.drain:
        stage.start_beat(), stage.start_beat()
        anchored = stage.anchored()
        stage.slowly()
        victim = stage.middle_of_batch()
        _let_it_send(stage, victim, 20)
        victim.pause()
        paused_at = time.time()
        stage.at_full_speed()
        stage.until_all_sent(anchored, (LEAST,), CLAIM_TIME + 10)
        # The pause itself is what is tested.
        time.sleep(max(0.0, paused_at + 20 - time.time()))
        stage.until_all_sent(anchored, (LEAST,), CLAIM_TIME + 10)
        victim.resume()
        stage.until_all_sent(anchored)
        stage.assert_nobody_died()
        stage.stop()
    stage.account(fault_at=paused_at, gap_of=LEAST)


def _messages_after(stage: Stage, moment: float) -> int:
    return sum(message.at > moment * 1000 for message in list(stage.drain.messages))


def _let_it_send(stage: Stage, beat, count: int) -> None:
    wait_until(lambda: stage.sent_by(beat, r"\w+-10s-") >= count, PATIENCE, f"it has sent {count}", every=0.005)

"""The store goes away for 3 seconds and comes back, with its data or without."""

from __future__ import annotations

import time

import pytest

from tests.faults.places import crossed
from tests.faults.stage import CLAIM_TIME, PATIENCE, Stage, arrivals_after
from tests.support.wait import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

OUTAGE = 3.0
RECOVERY = 2.0

SERVERS = ("postgresql", "mariadb", "redis")
KEPT = [("postgresql", "redis"), ("mariadb", "rabbitmq"), ("redis", "rabbitmq")]


@pytest.mark.parametrize(("store", "broker"), crossed(SERVERS, diagonal=KEPT, own=True))
def test_the_store_is_killed_in_the_middle_of_a_batch_and_comes_back_with_its_data(own_stage: Stage, own_store):
    stage = own_stage
    stage.write(batch=150)
    with stage.drain:
        stage.start_beat(), stage.start_beat()
        anchored = stage.anchored()
        stage.slowly()
        stage.middle_of_batch()
        back_at, outage = _away(own_store)
        stage.at_full_speed()
        wait_until(lambda: arrivals_after(stage.drain.messages, back_at), PATIENCE, "something is sent again")
        recovered = min(message.at for message in arrivals_after(stage.drain.messages, back_at)) / 1000 - back_at
        assert recovered <= RECOVERY, f"nothing was sent for {recovered:.2f} s after the store was back"
        stage.until_all_sent(anchored, deadline=CLAIM_TIME + 10)
        stage.assert_nobody_died()
        stage.stop()
    stage.account(fault_at=back_at - outage, gap=outage + CLAIM_TIME + 1)


@pytest.mark.parametrize(("store", "broker"), crossed(("redis",), diagonal=[("redis", "redis")], own=True))
@pytest.mark.needs("own-redis")
def test_the_store_comes_back_empty_and_the_static_entries_with_it(
    store, broker, request, tmp_path, processes, own_redis
):
    stage = Stage(tmp_path, processes, own_redis.url, request.getfixturevalue(f"{broker}_broker"))
    stage.write(batch=150)
    with stage.drain:
        stage.start_beat(), stage.start_beat()
        before = stage.anchored()
        stage.until_all_sent(before)
        back_at, _ = _away(own_redis)
        wait_until(lambda: len(_records_or_none(stage)) == 155, PATIENCE, "all entries are there", every=0.05)
        took = time.time() - back_at
        assert took <= RECOVERY, f"the static entries were back after {took:.2f} s"
        after = stage.anchored()
        assert min(after.anchors.values()) > max(before.anchors.values())
        wait_until(lambda: len(arrivals_after(stage.drain.messages, back_at)) >= 10, PATIENCE, "they fire again")
        stage.until_all_sent(after)
        stage.assert_nobody_died()
        stage.stop()
    assert any("store_emptied" in beat.text for beat in stage.beats)
    assert not any("foreign_store" in beat.text for beat in stage.beats)
    stage.account()


def _away(server) -> tuple[float, float]:
    """Kill the server, and start it again; the moment at which it answers, and the seconds without it."""
    server.kill()
    killed_at = time.time()
    # How long it is away is what is tested.
    time.sleep(OUTAGE)
    server.start()
    back_at = time.time()
    return back_at, back_at - killed_at


def _records_or_none(stage: Stage) -> list:
    try:
        return stage.records()
    except Exception:  # not founded yet, or not all there
        return []

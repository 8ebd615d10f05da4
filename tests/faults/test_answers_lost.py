"""A request reaches the store or the broker, and its answer is lost on the way back: nobody knows what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from celery_pyncette.stores.redis.scripts import APPLY, CLAIM
from tests.faults.ledger import copies
from tests.faults.places import STORES, crossed
from tests.faults.stage import BATCH, CLAIM_TIME, MOST, PATIENCE, Stage
from tests.support.proxy import TcpProxy
from tests.support.wait import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

SQL_CLAIM = b"SKIP LOCKED"
SQL_APPLY = b"COMMIT"
#: What a request of each verb contains.
CLAIMS = {"postgresql": SQL_CLAIM, "mariadb": SQL_CLAIM, "redis": CLAIM.sha.encode()}
APPLIES = {"postgresql": SQL_APPLY, "mariadb": SQL_APPLY, "redis": APPLY.sha.encode()}
PREPARES = b""
FETCHES = {"postgresql": b"m:meta", "mariadb": b"m:meta".hex().encode(), "redis": b"m:meta"}
SCANS = {"postgresql": b"p:", "mariadb": b"X'" + b"p:".hex().encode(), "redis": b"p:"}

SERVERS = [name for name in STORES if name != "sqlite"]


@pytest.mark.parametrize(
    ("store", "broker"),
    crossed(SERVERS, diagonal=[("postgresql", "redis")]),
)
def test_an_answer_of_each_verb_of_the_store_is_lost(stage: Stage, store: str, proxy_to: Callable[[str], TcpProxy]):
    proxy = proxy_to(stage.store_url)
    stage.write(store_url=proxy.through(stage.store_url))
    with stage.drain:
        for at_start in (PREPARES, FETCHES[store], SCANS[store]):
            _lose(proxy, [at_start], stage.start_beat)
        anchored = stage.anchored()
        # Six times, because a claim or a write takes one to three exchanges, and any of them may be the one.
        for nth in (1, 2, 3):
            _lose(proxy, [CLAIMS[store]], lambda: stage.until_all_sent(anchored, deadline=CLAIM_TIME + 10), nth)
            _lose(proxy, [APPLIES[store]], lambda: stage.until_all_sent(anchored, deadline=CLAIM_TIME + 10), nth)
        stage.until_all_sent(anchored, deadline=CLAIM_TIME + 10)
        stage.assert_nobody_died()
        stage.stop()
    stage.account()


@pytest.mark.parametrize(
    ("store", "broker"), crossed(("sqlite",), diagonal=[("sqlite", "redis"), ("sqlite", "rabbitmq")])
)
def test_an_answer_of_the_broker_is_lost_at_publish(stage: Stage, proxy_to: Callable[[str], TcpProxy]):
    """Three times, at different places of the schedule; at most once counts as sent, at least once is sent again."""
    proxy = proxy_to(stage.broker.url)
    stage.write(broker=stage.broker.through(proxy.through(stage.broker.url)), batch=20)
    with stage.drain:
        stage.start_beat(), stage.start_beat()
        anchored = stage.anchored()
        for nth in (1, 2, 3):
            _lose(proxy, [b"faults.note"], lambda: None, nth)
        stage.until_all_sent(anchored, deadline=15)
        stage.assert_nobody_died()
        stage.stop()
    stage.account(gap=5 + CLAIM_TIME + 1, most_copies=3 * BATCH)
    assert copies(message for message in stage.drain.messages if message.entry.startswith(MOST)) == []


def _lose(proxy: TcpProxy, matching: Sequence[bytes], meanwhile: Callable[[], object], nth: int = 1) -> None:
    """Lose the answer to the nth such request, and see that it was lost."""
    for what in matching:
        lost = proxy.lost
        proxy.lose_answer(nth, matching=what)
        meanwhile()
        wait_until(lambda lost=lost: proxy.lost > lost, PATIENCE, f"an answer to {what!r} is lost")

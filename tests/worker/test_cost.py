"""What a result-aware run costs its worker, counted on the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.proxy import TcpProxy
from tests.worker.support import Workshop

RUNS = 20


@pytest.mark.parametrize("pool", ["solo", pytest.param("prefork", marks=pytest.mark.full_matrix)])
def test_a_run_takes_three_round_trips_to_the_store_and_an_ordinary_task_none(
    workshop: Workshop, proxy_to: Callable[[str], TcpProxy], pool: str
):
    proxy = proxy_to(workshop.store_url)
    workshop.write(pyncette_store_url=proxy.through(workshop.store_url))
    workshop.worker(pool, "-c", "1")
    workshop.until(workshop.present, "it has said that it lives")
    workshop.reported(workshop.run("first", lease_ms=60_000), "succeeded")
    before = proxy.requests
    for ticket in [workshop.run(f"n{number}", lease_ms=60_000) for number in range(RUNS)]:
        workshop.reported(ticket, "succeeded")
    spent = proxy.requests - before
    assert 3 * RUNS <= spent <= 3 * RUNS + 2, "two for the presence, which is renewed each 20 s"
    before = proxy.requests
    for task_id in [workshop.send({}) for _ in range(RUNS)]:
        workshop.until(lambda task_id=task_id: workshop.said("ended", task_id), "an ordinary task")
    assert proxy.requests - before <= 2

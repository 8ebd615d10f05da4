"""A worker that is stopped for longer than its lease, beside another one and two beats, and woken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.worker.fleet import Fleet
from tests.worker.support import Workshop

pytestmark = [pytest.mark.faults, pytest.mark.full_matrix, pytest.mark.timeout(120)]

#: Seconds.
LEASE = 3.0
RUNS = 2.5


@pytest.fixture
def workshop(tmp_path: Path, processes: Processes, quiet_broker: Broker) -> Workshop:
    return Workshop(tmp_path, processes, quiet_broker, quiet_broker.url, founded=False)


@pytest.mark.parametrize("how", ["warn", "terminate"])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_a_worker_is_stopped_for_longer_than_its_lease(workshop: Workshop, delivery: str, how: str):
    fleet = Fleet(workshop).write(
        {"busy": (5.0, RUNS)},
        pyncette_delivery=delivery,
        pyncette_lease=LEASE,
        pyncette_claim_time=2,
        pyncette_start_within=4,
        pyncette_on_lease_lost=how,
    )
    fleet.start_workers("w1", "w2", children=1)
    fleet.start_beats()
    first = fleet.one_busy(after=0)
    due, worker = first["due"], fleet.worker_of(first)
    fleet.pause(worker)
    fleet.until(lambda: fleet.history(due), "its run is over without it")
    fleet.wake(worker)

    def by_the_first(what: str) -> list[dict[str, object]]:
        return [line for line in fleet.lines(what, due) if line["token"] == first["token"]]

    if how == "terminate":
        fleet.until(lambda: not Path(f"/proc/{first['pid']}").exists(), "its child is stopped")
        assert not by_the_first("ended"), "user code has stopped on waking"
    else:
        fleet.until(lambda: by_the_first("ended"), "it goes on")
        assert by_the_first("ended")[0]["lost"] is True, "and was told"
        fleet.until(lambda: "report_dropped" in worker.text, "its late report is refused")
    assert "lease_lost" in worker.text
    fleet.until(lambda: any(line["due"] > due for line in fleet.lines("ended")), "the next occurrence runs")
    (last,) = fleet.history(due)
    began = fleet.lines("began", due)
    if delivery == "at_most_once":
        assert len(began) == 1, "not started again"
        assert (last.outcome, last.reason) == ("abandoned", "started, no outcome")
    else:
        assert [line["attempt"] for line in began] == [1, 2]
        assert began[0]["token"] < began[1]["token"]
        assert (last.outcome, last.attempt) == ("succeeded", 2)
        assert [line["lost"] for line in fleet.lines("ended", due) if line["token"] != first["token"]] == [False]

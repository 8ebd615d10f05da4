"""Redis delivers again what is not acknowledged within its visibility timeout, here long before the task has ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from kombu import Connection

from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.worker.fleet import Fleet
from tests.worker.support import Workshop

pytestmark = [pytest.mark.faults, pytest.mark.full_matrix, pytest.mark.timeout(120)]

VISIBILITY = {"visibility_timeout": 1}


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_user_code_runs_once_per_occurrence(tmp_path: Path, processes: Processes, quiet_broker: Broker, delivery: str):
    workshop = Workshop(tmp_path, processes, quiet_broker, quiet_broker.url, founded=False)
    fleet = Fleet(workshop).write(
        {"busy": (4.0, 3.0)},
        task_acks_late=True,
        broker_transport_options=VISIBILITY,
        pyncette_delivery=delivery,
        pyncette_lease=6,
    )
    fleet.start_workers("w1", "w2")
    fleet.start_beats()

    def three_ended() -> bool:
        """Workers look for what is to be delivered again each 10 s, or each 100; here it is looked for all the time."""
        with Connection(workshop.broker.url, transport_options=VISIBILITY) as connection, connection.channel() as one:
            one.qos.restore_visible(interval=1)
        return len(fleet.ended()) >= 3

    fleet.until(three_ended, "three occurrences")
    assert fleet.says("start_refused") >= 3, "each was delivered again while it ran"
    assert set(fleet.starts().values()) == {1}
    assert fleet.overlaps(0.0) == 0

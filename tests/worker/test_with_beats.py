"""Two beats and two gated workers; a busy one is killed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from celery_pyncette.stores.protocol import Query
from tests.support.brokers import Broker
from tests.support.process import Process, Processes
from tests.worker.support import EXTENSION, Workshop

pytestmark = [pytest.mark.faults, pytest.mark.full_matrix, pytest.mark.timeout(120)]

#: Seconds.
LEASE = 4.0
EVERY = 3.0
RUNS = 2.0

MORE = (
    EXTENSION
    + f"""
@app.task(bind=True)
def busy(self):
    from celery_pyncette import current_occurrence

    now = current_occurrence()
    about = dict(due=now.due_at.timestamp(), token=now.token, attempt=now.attempt)
    say("began", self.request, **about)
    time.sleep({RUNS})
    say("ended", self.request, **about)
"""
)


@pytest.fixture
def workshop(tmp_path: Path, processes: Processes, quiet_broker: Broker) -> Workshop:
    return Workshop(tmp_path, processes, quiet_broker, quiet_broker.url, founded=False)


def started(workshop: Workshop, delivery: str, late: bool) -> list[Process]:
    workshop.write(
        MORE,
        beat_schedule={"busy": {"task": "proj.busy", "schedule": EVERY}},
        task_acks_late=late,
        pyncette_result_aware=True,
        pyncette_delivery=delivery,
        pyncette_lease=LEASE,
        pyncette_claim_time=2,
        pyncette_start_within=4,
    )
    return [workshop.worker("prefork", "-c", "2", "--prefetch-multiplier", "1", name=f"w{n}") for n in (1, 2)]


def by_due(workshop: Workshop, what: str) -> dict[float, list[dict[str, Any]]]:
    found: dict[float, list[dict[str, Any]]] = {}
    for line in workshop.said(what):
        found.setdefault(line["due"], []).append(line)
    return found


def overlaps(workshop: Workshop, killed_at: float) -> int:
    """Pairs of neighbours in time of which the second began before the first had ended, or was killed."""
    ends = {line["token"]: line["at"] for line in workshop.said("ended")}
    began = sorted(workshop.said("began"), key=lambda line: line["at"])
    return sum(ends.get(a["token"], killed_at) > b["at"] + 0.05 for a, b in pairwise(began))


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("victim", ["worker", "child"])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_a_busy_worker_is_killed(workshop: Workshop, delivery: str, victim: str, late: bool):
    workers = started(workshop, delivery, late)
    for _ in range(2):
        workshop.processes.beat("proj", cwd=workshop.directory).wait_for_log("beat_started", 25)
    workshop.store.prepare(None)
    workshop.until(lambda: len(workshop.said("ended")) >= 2, "it runs")
    before = len(workshop.said("began"))
    workshop.until(lambda: len(workshop.said("began")) > before, "one is busy")
    busy = workshop.said("began")[-1]
    if victim == "worker":
        (worker,) = [one for one in workers if f"[{busy['id']}] received" in one.text]
        worker.kill()
    else:
        os.kill(busy["pid"], signal.SIGKILL)
    killed_at = time.time()
    workshop.until(lambda: len(workshop.said("ended")) >= 5, "it goes on")

    starts = Counter(line["due"] for line in workshop.said("began"))
    if delivery == "at_most_once":
        assert set(starts.values()) == {1}
        workshop.until(lambda: "abandoned" in recent(workshop), "the lost one is remembered")
        reasons = [line.reason for line in record(workshop).recent if line.outcome == "abandoned"]
        assert reasons == ["started, no outcome"]
    else:
        again = by_due(workshop, "began")[busy["due"]]
        assert len(again) == 2, "the lost one is run again"
        assert again[1]["at"] - killed_at < LEASE + 2.0 + 1.0
        assert again[1]["token"] > again[0]["token"]
        assert again[1]["attempt"] == 2
        assert starts.pop(busy["due"]) == 2
        assert set(starts.values()) == {1}
    assert overlaps(workshop, killed_at) == 0


def record(workshop: Workshop) -> Any:
    return next(r for r in workshop.store.scan(Query(prefix="s:")).records if r.spec.name == "busy")


def recent(workshop: Workshop) -> list[str]:
    return [line.outcome for line in record(workshop).recent]

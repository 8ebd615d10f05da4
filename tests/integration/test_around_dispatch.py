"""Middlewares around the dispatch in a real beat, over a broker to which others go in one round trip."""

from __future__ import annotations

import re

import pytest

from tests.integration.project import PATIENCE, Project
from tests.support.wait import wait_until

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.timeout(120)]

MORE = """
from celery_pyncette import Pyncette
from celery_pyncette.middleware import Skip

pyncette = Pyncette(app)
failed = []


@pyncette.dispatch_middleware
def traced(dispatch):
    dispatch.headers["due"] = dispatch.due_at.isoformat()
    how = "failed"
    try:
        yield
        how = "sent"
    except Skip:
        how = "vetoed"
        raise
    finally:
        with (HERE / "trace.txt").open("a") as log:
            log.write(f"{dispatch.entry} {how}\\\\n")


@pyncette.dispatch_middleware(entries="vetoed")
def veto(dispatch):
    raise Skip("maintenance")
    yield


@pyncette.dispatch_middleware(entries="shaky")
def shaky(dispatch):
    if not failed:
        failed.append(dispatch.due_at)
        raise ConnectionRefusedError("not the broker's")
    yield
""".replace("\\\\n", "\\n")


def test_a_beat_changes_vetoes_and_tries_again(project: Project):
    entries = {name: {"task": "proj.note", "schedule": 1.0} for name in ("plain", "vetoed", "shaky")}
    project.write(MORE, beat_schedule=entries)
    beat, trace = project.working_beat(), project.directory / "trace.txt"
    project.worker()
    wait_until(lambda: project.runs("plain") and project.runs("shaky"), PATIENCE, beat.tail)
    wait_until(lambda: project.records()["vetoed"].counters.skipped > 0, PATIENCE, beat.tail)
    assert all(run["headers"]["due"].startswith("20") for run in project.runs())
    vetoed = project.records()["vetoed"]
    assert project.runs("vetoed") == []
    assert (vetoed.counters.started, vetoed.recent[-1].reason) == (0, "vetoed: maintenance")
    assert set(trace.read_text().splitlines()) == {"plain sent", "vetoed vetoed", "shaky failed", "shaky sent"}
    assert re.search(r"skipped: \d+ occurrence\(s\) of 'vetoed' .*reason vetoed: maintenance", beat.text)
    assert re.search(r"publish_failed: 'shaky' .*ConnectionRefusedError: not the broker's; again in 5 s", beat.text)
    assert "broker_lost" not in beat.text
    assert beat.terminate() == 0

"""Real beats that answer HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.project import PATIENCE, Project
from tests.support.brokers import Broker
from tests.support.process import Process, Processes

#: Any free port; the log says which.
ANY = "127.0.0.1:0"


@pytest.fixture
def project(tmp_path: Path, processes: Processes, redis_broker: Broker) -> Project:
    """With an SQLite store."""
    return Project(tmp_path, processes, redis_broker, f"sqlite:///{tmp_path}/store.sqlite3")


def address_of(beat: Process, *, count: int = 1) -> str:
    """Where a beat answers, as its log says."""
    return beat.wait_for_log(r"http_up: .* http://(\S+)", PATIENCE, count=count)[1]

"""A project over Redis, the broker that most tests here use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.project import Project
from tests.support.brokers import Broker
from tests.support.process import Processes


@pytest.fixture
def project(tmp_path: Path, processes: Processes, redis_broker: Broker) -> Project:
    """With an SQLite store."""
    return Project(tmp_path, processes, redis_broker, f"sqlite:///{tmp_path}/store.sqlite3")

"""The stage of each fault test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.stage import Stage
from tests.support.process import Processes


@pytest.fixture
def stage(store: str, broker: str, request: pytest.FixtureRequest, tmp_path: Path, processes: Processes) -> Stage:
    """Over shared servers; the test's parameters are the names of a store and a broker."""
    url = request.getfixturevalue(f"{store}_url")
    return Stage(tmp_path, processes, url, request.getfixturevalue(f"{broker}_broker"))


@pytest.fixture
def own_store(store: str, request: pytest.FixtureRequest):
    """A server of the test's own, which keeps its data."""
    names = {"postgresql": "own_postgres", "mariadb": "own_mariadb", "redis": "own_persistent_redis"}
    return request.getfixturevalue(names[store])


@pytest.fixture
def own_stage(own_store, broker: str, request: pytest.FixtureRequest, tmp_path: Path, processes: Processes) -> Stage:
    """Over a store's server that may be killed."""
    return Stage(tmp_path, processes, own_store.url, request.getfixturevalue(f"{broker}_broker"))

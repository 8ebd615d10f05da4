"""A project with a store and a broker of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.brokers import Broker
from tests.support.process import Processes
from tests.worker.support import Workshop


@pytest.fixture
def workshop(tmp_path: Path, processes: Processes, redis_broker: Broker, redis_url: str) -> Workshop:
    """Store and broker on Redis."""
    return Workshop(tmp_path, processes, redis_broker, redis_url)

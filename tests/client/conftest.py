"""One setting per test."""

from __future__ import annotations

import pytest

from tests.client.setting import Setting


@pytest.fixture
def here() -> Setting:
    return Setting()

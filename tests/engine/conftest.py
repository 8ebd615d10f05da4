"""A beat at a desk: dispatcher, store, publisher and clock, all of them in hand."""

from __future__ import annotations

import pytest

from tests.engine.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()

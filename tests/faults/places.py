"""Which store and which broker a fault is tried on: all pairs by `make test-faults`, the diagonal by `make test`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

STORES = ("sqlite", "postgresql", "mariadb", "redis")
BROKERS = ("redis", "rabbitmq")


def crossed(stores: Sequence[str] = STORES, *, diagonal: Sequence[tuple[str, str]], own: bool = False) -> list[Any]:
    """Parameters (store, broker); those off the diagonal carry the mark `full_matrix`.

    ``own``: the test starts the store's server itself.
    """
    return [
        pytest.param(store, broker, marks=_marks(store, broker, diagonal, own), id=f"{store}-{broker}")
        for store in stores
        for broker in BROKERS
    ]


def _marks(store: str, broker: str, diagonal: Sequence[tuple[str, str]], own: bool) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.store(store), pytest.mark.broker(broker)]
    if own:
        marks.append(pytest.mark.needs(f"own-{store}"))
    if (store, broker) not in diagonal:
        marks.append(pytest.mark.full_matrix)
    return marks

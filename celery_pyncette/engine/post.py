"""Where a beat works, and by which rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A beat's place among the others; durations in milliseconds.

    ``create`` False leaves tables and namespace to somebody else. ``last_runs`` answers the last runs
    of a stock beat; it is asked only by the beat that founds the namespace.
    """

    namespace: str
    store_name: str
    owner: str
    fingerprint: str
    store_id: str
    partitions: int | None = None
    create: bool = True
    poll_interval: int = 1_000
    claim_time: int = 10_000
    batch_size: int = 100
    stale_after: int = 3_600_000
    about: Mapping[str, Any]
    last_runs: Callable[[], Mapping[str, Instant]]

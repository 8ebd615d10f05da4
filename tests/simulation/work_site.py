"""What all who act in one run have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.message_queue import Queue
from tests.simulation.run_ledger import RunLedger
from tests.simulation.store_view import SharedStore
from tests.simulation.user_code import Habit
from tests.simulation.world import World

FOREVER = 1_000_000_000


@dataclass(slots=True)
class Site:
    """What the workers of one run have in common."""

    world: World
    shared: SharedStore
    ledger: RunLedger
    queue: Queue
    habits: Mapping[str, Habit]

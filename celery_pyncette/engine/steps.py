"""What is in hand during a cycle: records on their way from claim to settlement."""

from __future__ import annotations

from dataclasses import dataclass, field

from celery_pyncette.core.plans import Plan, Receipt
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.engine.definitions import Meaning


@dataclass(frozen=True, slots=True)
class Station:
    """Where a dispatcher works, and how much it takes at once; durations in milliseconds."""

    namespace: str
    store_id: str
    owner: str
    claim_time: int = 10_000
    batch_size: int = 100


@dataclass(slots=True)
class Step:
    """One record on its way through a chunk; ``stored`` is what the store has now.

    ``uses_up``: the settlement that was decided last takes up what the plan says. ``late``: too much of
    the claim time had passed to send it.
    """

    plan: Plan
    meaning: Meaning | None
    stored: Record
    receipt: Receipt | None = None
    uses_up: bool = False
    late: bool = False


@dataclass(slots=True)
class InHand:
    """What would be lost with this process; :meth:`Dispatcher.give_back` returns it.

    ``claimed``: nothing was done about it. ``unsent``: its message is not begun. ``unsettled``: its
    message has a fate that is not yet written down.
    """

    claimed: dict[Key, Record] = field(default_factory=dict)
    unsent: list[Step] = field(default_factory=list)
    unsettled: list[Step] = field(default_factory=list)

    @property
    def owes(self) -> bool:
        """Whether there is anything that the store should be told."""
        return bool(self.claimed or self.unsent or self.unsettled)


@dataclass(frozen=True, slots=True)
class Cycled:
    """What one cycle did; ``wait_ms`` until the lane has something ready, 0 if it has now.

    ``emptied``: the namespace's meta record is gone.
    """

    claimed: int
    sent: int
    wait_ms: int
    emptied: bool = False


def only(record: Record, write: Write) -> Step:
    """Nothing but this write is to be done about the record."""
    return Step(Plan(record=record, first=write), None, record)

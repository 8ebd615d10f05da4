"""What happened: frozen values that the engine emits, and Observers that listen. Nothing flows back.

Durations are seconds. ``entry`` is the entry's name, ``task`` the Celery task: the only label with
a bound. An observer that raises is logged and never disturbs the engine.
"""

from __future__ import annotations

from celery_pyncette.events.beats import BeatStarted, NeighboursSeen, Reconciled, Stuck, Unstuck
from celery_pyncette.events.broker import BrokerBack, BrokerLost, PublishBegan, PublishEnded
from celery_pyncette.events.cycles import Claimed, CycleEnded, Overtime, TickBegan, Ticked
from celery_pyncette.events.event import Event
from celery_pyncette.events.http import HttpDown, HttpUp, Pinged
from celery_pyncette.events.observers import Observer, Observers
from celery_pyncette.events.occurrences import Buried, Dispatched, Expected, Late, Missed, PublishFailed, Skipped
from celery_pyncette.events.runs import NotStarted, Paused, Repeated, ResultsBack, ResultsLost, UsedUp
from celery_pyncette.events.store import (
    ForeignStore,
    Quarantined,
    StoreAsked,
    StoreBack,
    StoreCalled,
    StoreEmptied,
    StoreLost,
    Superseded,
)
from celery_pyncette.events.workers import (
    ForeignTicket,
    ForgedTicket,
    GateStoreDown,
    LeaseLost,
    ReportDropped,
    Reported,
    RunStarted,
    StartRefused,
)

__all__ = [
    "BeatStarted",
    "BrokerBack",
    "BrokerLost",
    "Buried",
    "Claimed",
    "CycleEnded",
    "Dispatched",
    "Event",
    "Expected",
    "ForeignStore",
    "ForeignTicket",
    "ForgedTicket",
    "GateStoreDown",
    "HttpDown",
    "HttpUp",
    "Late",
    "LeaseLost",
    "Missed",
    "NeighboursSeen",
    "NotStarted",
    "Observer",
    "Observers",
    "Overtime",
    "Paused",
    "Pinged",
    "PublishBegan",
    "PublishEnded",
    "PublishFailed",
    "Quarantined",
    "Reconciled",
    "Repeated",
    "ReportDropped",
    "Reported",
    "ResultsBack",
    "ResultsLost",
    "RunStarted",
    "Skipped",
    "StartRefused",
    "StoreAsked",
    "StoreBack",
    "StoreCalled",
    "StoreEmptied",
    "StoreLost",
    "Stuck",
    "Superseded",
    "TickBegan",
    "Ticked",
    "Unstuck",
    "UsedUp",
]

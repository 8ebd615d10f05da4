"""The store: each call of it, whether it can be reached, what was not as expected in it."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.events.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAsked(Event):
    """A call of the store begins; ``StoreCalled`` ends it."""

    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCalled(Event):
    """One call of the store, repeats included."""

    operation: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLost(Event):
    """The store cannot be reached; emitted once until it is back."""

    store: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBack(Event):
    """The store answers again."""

    store: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEmptied(Event):
    """The namespace's meta record is gone: the store came back empty. Dynamic entries are lost."""

    store: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignStore(Event):
    """Another beat uses this namespace on this broker with another store: every run is doubled."""

    namespace: str
    ours: str
    theirs: str
    beat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined(Event):
    """A stored record cannot be read; the others go on."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded(Event):
    """A write of ours was refused because somebody else had acted; ``doing`` says which step."""

    key: str
    entry: str
    doing: str

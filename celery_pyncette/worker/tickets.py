"""The ticket out of a message's headers; nothing that somebody put there may raise."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Delivery, Heartbeat, OnLeaseLost
from celery_pyncette.core.records import Key, Ticket
from celery_pyncette.engine.holding import Labels

#: Headers of a message, and attributes of its request.
HEADER = "pyncette"
ENTRY = "periodic_task_name"
#: Where the main process leaves the nonce of a delivery for the pool's child: what is made anew for each delivery, and
#: unlike other headers never copied into a retry.
NONCE = "pyncette_nonce"

_MOST = 2**53
_VERSION = 1
_TEXTS = {"ns": 100, "store": 100, "key": 600, "gen": 100, "task_id": 255}
_NUMBERS = {
    "due_at": 0,
    "attempt": 1,
    "lease_ms": 1,
    "epoch": 0,
    "deadline": 0,
    "start_within": 0,
    "max_run": 0,
    "replaced": 0,
    "v": 1,
}
_OPTIONAL = {"epoch": 0, "deadline": None, "start_within": 0, "max_run": 0, "replaced": 0, "due_at": 0, "v": 1}
_WORDS: Mapping[str, type[enum.Enum]] = {"delivery": Delivery, "on_lease_lost": OnLeaseLost, "heartbeat": Heartbeat}
_DEFAULTS = {"on_lease_lost": OnLeaseLost.WARN.value, "heartbeat": Heartbeat.AUTOMATIC.value}


@dataclass(frozen=True, slots=True)
class Forged:
    """A header that no beat writes; ``problem`` says what is wrong."""

    problem: str


def ticket_of(headers: Mapping[str, Any], task_id: str) -> Ticket | Forged | None:
    """The ticket of a message that asks for a START.

    None for an ordinary message: without a ticket, not result-aware, or with a ticket of another message: groups,
    chords and callbacks copy headers.
    """
    header = headers.get(HEADER)
    if header is None:
        return None
    if not isinstance(header, Mapping):
        return Forged("the header is no mapping")
    if header.get("aware") is not True or header.get("task_id") != task_id:
        return None
    return _read(header)


def told_by(headers: Mapping[str, Any], task_id: str) -> Ticket | None:
    """The ticket of a message that asks for no START, for what it says about the occurrence; None if there is none, or
    none that can be read: nothing depends on it.
    """
    header = headers.get(HEADER)
    if not isinstance(header, Mapping) or header.get("aware") or header.get("task_id") != task_id:
        return None
    ticket = _read({**header, "aware": False, "lease_ms": 1})
    return ticket if isinstance(ticket, Ticket) else None


def _read(header: Mapping[str, Any]) -> Ticket | Forged:
    given: dict[str, Any] = {**_OPTIONAL, **_DEFAULTS}
    given.update((name, value) for name, value in header.items() if name in Ticket.__slots__)
    problem = _problem(given)
    if problem is not None:
        return Forged(problem)
    return Ticket(**{**given, "key": Key(given["key"]), "due_at": Instant(given["due_at"])})


def _problem(given: Mapping[str, Any]) -> str | None:
    for name, most in _TEXTS.items():
        value = given.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            return f"{name} is not a text of up to {most} characters"
    for name, least in _NUMBERS.items():
        value = given.get(name)
        if value is None and name == "deadline":
            continue
        if type(value) is not int or not least <= value < _MOST:
            return f"{name} is not a whole number"
    if given["v"] > _VERSION:
        return f"it has format {given['v']}, of a newer release"
    for name, kind in _WORDS.items():
        if given.get(name) not in [member.value for member in kind]:
            return f"{name} is unknown"
    return None


def labels_of(headers: Mapping[str, Any], task: str) -> Labels:
    """What people call the run."""
    entry = headers.get(ENTRY)
    return Labels(entry=entry if isinstance(entry, str) else "", task=task)

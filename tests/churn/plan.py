"""What each of the names is, so that the writers, the worker and the account agree about it."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Seconds between two due times, of the first sixty names and of all others; a steady name keeps to one of them.
QUICK, SLOW = (2, 3), (20, 30, 40)
#: A run of an aware at-most-once entry that a dying beat may have sent is waited for no longer than this, in seconds.
EXPIRES = 5


@dataclass(frozen=True)
class Kind:
    """``steady``: is never paused or removed and keeps its schedule, so that each of its due times must be met."""

    delivery: str
    aware: bool
    overlap: str
    steady: bool

    @property
    def policy(self) -> dict[str, object]:
        return {"delivery": self.delivery, "result_aware": self.aware, "overlap": self.overlap}

    @property
    def options(self) -> dict[str, object]:
        return {"expires": EXPIRES} if self.aware and self.delivery == "at_most_once" else {}


_KINDS = [
    Kind(delivery, aware, overlap, steady)
    for steady in (True, False)
    for delivery in ("at_least_once", "at_most_once")
    for aware, overlap in ((False, "allow"), (True, "forbid"), (True, "allow"))
]


def kind_of(name: str) -> Kind:
    return _KINDS[_number(name) % len(_KINDS)]


def interval_of(name: str, chance: random.Random) -> int:
    """Seconds."""
    number = _number(name)
    among = QUICK if number < 60 else SLOW
    return among[number // len(_KINDS) % len(among)] if kind_of(name).steady else chance.choice(among)


def name_of(chance: random.Random, count: int) -> str:
    """Half of the changes go to a tenth of the names, so that writers meet."""
    among = max(len(_KINDS), count // 10) if chance.random() < 0.5 else count
    return f"churn-{chance.randrange(among)}"


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])

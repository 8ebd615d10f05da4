"""Time, dice and faults of one run; every other part asks here what goes wrong next."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from celery_pyncette.core.instants import Instant
from tests.simulation.baton import Actor, Died, Stage

START = Instant(1_704_067_200_000)


@dataclass(slots=True)
class Faults:
    """How likely each fault is at each step (0 to 1), and windows in which something is away.

    From ``freeze`` on they are those of workers and queues: a whole process stands still, a pool's child is killed, the
    broker loses a message that it has confirmed, keeps it for long, or delivers it again; user code hangs.
    """

    stall: float = 0.0
    die: float = 0.0
    stop: float = 0.0
    answer_lost: float = 0.0
    store_away: float = 0.0
    emptied: float = 0.0
    clock_back: float = 0.0
    publish_fails: float = 0.0
    publish_unsure: float = 0.0
    broker_away: float = 0.0
    freeze: float = 0.0
    child_dies: float = 0.0
    message_lost: float = 0.0
    message_late: float = 0.0
    redelivered: float = 0.0
    hang: float = 0.0

    def any(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)


#: How long somebody stands still, in milliseconds: shorter and longer than half a claim, and than a whole one.
STALLS = (300, 2_500, 6_000, 12_000)
#: How long a process that died stays away, in milliseconds.
RESTARTS = (200, 3_000, 12_000)
#: In the seeds that leave this, divided by 4, middlewares veto, this likely at each message; by dice of their own.
VETOING, VETO = 3, 0.15


@dataclass(slots=True)
class HostClock:
    """A host's own clocks: its wall clock is off by ``skew`` ms, its monotonic one counts from its start."""

    stage: Stage
    skew: int = 0

    def now(self) -> Instant:
        return Instant(self.stage.now + self.skew)

    def monotonic(self) -> float:
        return (self.stage.now - START) / 1000

    def sleep(self, seconds: float) -> None:
        self.stage.pause(round(seconds * 1000))


@dataclass(slots=True)
class World:
    """One run. ``trouble`` says when a fault last hit somebody, by owner; under ``""`` everybody."""

    seed: int
    faults: Faults
    rng: random.Random = field(init=False)
    veto_dice: random.Random = field(init=False)
    stage: Stage = field(init=False)
    step_back: int = 0
    calm: bool = False
    hit: int = 0
    moves: int = 0
    trouble: dict[str, int] = field(default_factory=dict)
    store_back_at: int = 0
    broker_back_at: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.veto_dice = random.Random(f"veto {self.seed}")
        self.stage = Stage(START)

    def now(self) -> Instant:
        """The store's clock."""
        return Instant(self.stage.now - self.step_back)

    def chance(self, likelihood: float) -> bool:
        return likelihood > 0 and not self.calm and self.rng.random() < likelihood

    def vetoes(self) -> bool:
        """Whether a middleware lets no message through now: no fault, so that it goes on when the faults are over."""
        return self.seed % 4 == VETOING and self.veto_dice.random() < VETO

    def note(self, owner: str, lasts: int = 0) -> None:
        """A fault hits this owner now, and for so many milliseconds."""
        self.hit += 1
        self.trouble[owner] = max(self.trouble.get(owner, 0), self.stage.now + lasts)

    def excuse(self) -> None:
        """No fault, but something that may make everybody late: a long queue, a task that takes its time."""
        self.trouble[""] = self.stage.now

    def troubled(self, owner: str, since: int) -> bool:
        return max(self.trouble.get(owner, 0), self.trouble.get("", 0)) >= since

    def anybody_troubled(self, since: int) -> bool:
        """Whether a fault has hit anybody since then."""
        return max(self.trouble.values(), default=0) >= since

    def step(self, owner: str, mortal: bool = True) -> None:
        """One atomic step of somebody: it takes a few milliseconds, or much longer, or is never done."""
        self.moves += 1
        delay = self.rng.randrange(4)
        if self.chance(self.faults.stall):
            delay += self.rng.choice(STALLS)
            self.note(owner)
        self.stage.pause(delay)
        if mortal and self.chance(self.faults.die):
            self.note(owner)
            raise Died
        if delay >= STALLS[0]:
            self.note(owner)

    def store_away(self) -> bool:
        if self.chance(self.faults.store_away):
            self.store_back_at = self.stage.now + self.rng.choice((500, 3_000, 15_000))
        return not self.calm and self.stage.now < self.store_back_at

    def broker_away(self) -> bool:
        if self.chance(self.faults.broker_away):
            self.broker_back_at = self.stage.now + self.rng.choice((500, 3_000, 15_000))
        return not self.calm and self.stage.now < self.broker_back_at


__all__ = ["RESTARTS", "STALLS", "START", "Actor", "Died", "Faults", "HostClock", "World"]

"""Operating-system processes: what runs in one stands still and dies together; its store and its keeper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.engine.keeper import Keeper
from celery_pyncette.events import Event
from celery_pyncette.stores.guarded import Guarded
from tests.simulation.ledger import Violation
from tests.simulation.store_view import SharedStore, StoreView
from tests.simulation.world import STALLS, Actor, Died, HostClock, World

T = TypeVar("T")
#: The worst clocks: together they are off by less than the margin that a message is given before it is rubbish.
SKEW = 25_000


class Process:
    """One process. ``at_death`` is called once, by whoever kills it.

    :param mortal: how likely it dies at a step is the fault that this names.
    """

    def __init__(self, world: World, owner: str, mortal: str = "die", skew: int = SKEW) -> None:
        self.world = world
        self.owner = owner
        self.dead = False
        self.clock = HostClock(world.stage, world.rng.randrange(-skew, skew + 1))
        self.at_death: list[Callable[[], None]] = []
        self._mortal = mortal
        self._actors: list[Actor] = []

    def add(self, name: str, play: Callable[[], None], delay: int = 0) -> Actor:
        """Something that runs in it: a thread, a loop."""
        actor = self.world.stage.add(f"{self.owner} {name}", play, delay)
        self._actors.append(actor)
        return actor

    def step(self) -> None:
        """One atomic step of what acts now."""
        world, rng, faults = self.world, self.world.rng, self.world.faults
        world.moves += 1
        delay = rng.randrange(4)
        if world.chance(faults.stall):
            delay += rng.choice(STALLS)
        if world.chance(faults.freeze):
            delay += rng.choice(STALLS)
            self.freeze(delay)
        if delay >= STALLS[0]:
            world.note(self.owner, delay)
        world.stage.pause(delay)
        if world.chance(getattr(faults, self._mortal)):
            self.kill()
            raise Died
        if delay >= STALLS[0]:
            world.note(self.owner)

    def freeze(self, delay: int) -> None:
        """All that runs in it stands still: SIGSTOP, and SIGCONT after a while."""
        for actor in self._actors:
            if actor is not self.world.stage.current:
                self.world.stage.hold(actor, self.world.stage.now + delay)

    def kill(self) -> None:
        """SIGKILL."""
        if self.dead:
            return
        self.dead = True
        self.world.note(self.owner)
        for actor in self._actors:
            self.world.stage.kill(actor)
        for tell in self.at_death:
            tell()

    def store(self, shared: SharedStore, *, attempts: int | None = None, budget: float = 5.0) -> SimStore:
        """A store object of its own."""
        return SimStore(self, shared, attempts, budget)


class SimStore(Guarded):
    """The real repeats over a far store; a call that fails for good is a fault that has hit its process."""

    def __init__(self, process: Process, shared: SharedStore, attempts: int | None, budget: float) -> None:
        view = StoreView(shared, process.owner, step=process.step, tries=1)
        super().__init__(
            view,
            name="sim",
            budget=budget,
            attempts=attempts,
            clock=process.clock,
            chance=process.world.rng.random,
        )
        self._process = process

    def _call(self, operation: str, ask: Callable[[], T]) -> T:
        try:
            return super()._call(operation, ask)
        except StoreUnavailable:
            self._process.world.note(self._process.owner)
            raise


class SimKeeper(Keeper):
    """The real keeper; its thread is an actor, and what it would log and try again fails the run."""

    def __init__(self, process: Process, store: Callable[[], SimStore], see: Callable[[Event], None]) -> None:
        super().__init__(store, process.clock, see)
        self._news: Any = _News(process.world)
        self._thread: Any = _Running()
        self._news.actor = process.add("keeper", self._run)

    def step(self) -> float:
        try:
            return super().step()
        except Exception as error:
            raise Violation(f"the keeper failed: {type(error).__name__}: {error}") from error


class _News:
    """A `threading.Event` between actors."""

    actor: Actor

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._world.stage.wake(self.actor)

    def clear(self) -> None:
        self._is_set = False

    def wait(self, seconds: float) -> None:
        if not self._is_set:
            self._world.stage.listen(max(1, round(seconds * 1000)))


class _Running:
    """A thread that runs."""

    def is_alive(self) -> bool:
        return True

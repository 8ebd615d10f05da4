"""Real synchronous code, run one step at a time: each actor is a thread, and only the holder of the baton moves.

An actor hands over by :meth:`Stage.pause`, wherever it could be overtaken, stall or die: before each call of the store,
before each message. Whoever wakes first gets the baton next, so that a run follows from its seed alone, and time passes
only on the stage.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Died(BaseException):
    """Raised in an actor that is dead, at the place where it stood; nothing catches it but its thread."""


class Actor:
    """One thread and the time at which it goes on."""

    __slots__ = ("done", "doomed", "go", "name", "on_stage", "play", "wake_at")

    def __init__(self, name: str, play: Callable[[], None], wake_at: int) -> None:
        self.name = name
        self.play = play
        self.wake_at = wake_at
        self.go = threading.Lock()
        self.go.acquire()
        self.doomed = False
        self.done = False
        self.on_stage = False


class Stage:
    """The time of a world, in milliseconds, and who moves next.

    ``steps`` counts the pauses. :meth:`run` returns once time or steps are over, or an actor failed.
    """

    def __init__(self, start: int) -> None:
        self.now = start
        self.steps = 0
        self.failure: BaseException | None = None
        self._actors: list[Actor] = []
        self._curtain = threading.Lock()
        self._curtain.acquire()
        self._ends_at = start
        self._over = False
        self._current: Actor | None = None

    def add(self, name: str, play: Callable[[], None], delay: int = 0) -> Actor:
        """Somebody who acts from now + ``delay`` on."""
        actor = Actor(name, play, self.now + delay)
        self._actors.append(actor)
        return actor

    @property
    def current(self) -> Actor:
        """Who has the baton."""
        assert self._current is not None
        return self._current

    def pause(self, delay: int = 0) -> None:
        """Hand over, and go on ``delay`` milliseconds later. :raises Died: if this actor is dead by then."""
        me = self.current
        if me.doomed:
            raise Died
        self.steps += 1
        me.wake_at = self.now + delay
        following = self._next()
        if following is not me:
            self._give(following)
            me.go.acquire()
        if me.doomed:
            raise Died

    def run(self, until: int) -> None:
        """Play until this time."""
        self._ends_at = until
        self._over = False
        following = self._next()
        if following is not None:
            self._give(following)
            self._curtain.acquire()
        if self.failure is not None:
            self.close()
            raise self.failure

    def close(self) -> None:
        """Everybody dies where they stand, so that no thread is left."""
        self._over = True
        for actor in self._actors:
            if actor.on_stage and not actor.done:
                actor.doomed = True
                self._current = actor
                actor.go.release()
                self._curtain.acquire()

    def _next(self) -> Actor | None:
        """Who wakes first; None when the time is over."""
        if self._over or self.failure is not None:
            return None
        following = min((actor for actor in self._actors if not actor.done), key=_wake_at, default=None)
        if following is None or following.wake_at > self._ends_at:
            self.now = max(self.now, self._ends_at)
            return None
        self.now = max(self.now, following.wake_at)
        return following

    def _give(self, following: Actor | None) -> None:
        self._current = following
        if following is None:
            self._curtain.release()
        elif following.on_stage:
            following.go.release()
        else:
            following.on_stage = True
            threading.Thread(target=self._perform, args=(following,), daemon=True, name=following.name).start()

    def _perform(self, actor: Actor) -> None:
        try:
            if not actor.doomed:
                actor.play()
        except Died:
            pass
        except BaseException as error:
            if not self._over:
                self.failure = error
        finally:
            actor.done = True
            self._actors.remove(actor) if not self._over else None
            self._give(None if self._over else self._next())


def _wake_at(actor: Actor) -> int:
    return actor.wake_at

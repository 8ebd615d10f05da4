"""Real synchronous code, run one step at a time: each actor is a greenlet, and only the holder of the baton moves.

An actor hands over by :meth:`Stage.pause`, wherever it could be overtaken, stall or die: before each call of the store,
before each message. Whoever wakes first gets the baton next, so that a run follows from its seed alone, and time passes
only on the stage.
"""

from __future__ import annotations

from collections.abc import Callable

from greenlet import getcurrent, greenlet


class Died(BaseException):
    """Raised in an actor that is dead, at the place where it stood; nothing catches it but its own first function."""


class Actor:
    """One greenlet and the time at which it goes on."""

    __slots__ = ("done", "doomed", "held_until", "listens", "name", "on_stage", "play", "wake_at")

    def __init__(self, name: str, play: Callable[[], None], wake_at: int) -> None:
        self.name = name
        self.play = play
        self.wake_at = wake_at
        self.held_until = wake_at
        self.listens = False
        self.doomed = False
        self.done = False
        self.on_stage: greenlet | None = None


class Stage:
    """The time of a world, in milliseconds, and who moves next.

    ``steps`` counts the pauses. :meth:`run` returns once time or steps are over, or an actor failed.
    """

    def __init__(self, start: int) -> None:
        self.now = start
        self.steps = 0
        self.failure: BaseException | None = None
        self._actors: list[Actor] = []
        self._hall = getcurrent()
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
        me = self._current
        assert me is not None
        if me.doomed:
            raise Died
        self.steps += 1
        me.wake_at = self.now + delay
        following = self._next()
        if following is not me:
            self._give(following)
        if me.doomed:
            raise Died

    def listen(self, delay: int) -> None:
        """As :meth:`pause`, but somebody may :meth:`wake` this actor earlier."""
        me = self.current
        me.listens = True
        self.pause(delay)
        me.listens = False

    def wake(self, actor: Actor, at: int | None = None) -> None:
        """Somebody who listens goes on at ``at`` (now), unless they are held for longer or wake before."""
        if actor.listens:
            actor.wake_at = max(actor.held_until, min(actor.wake_at, self.now if at is None else at))

    def hold(self, actor: Actor, until: int) -> None:
        """Somebody stands still until then."""
        actor.held_until = max(actor.held_until, until)
        actor.wake_at = max(actor.wake_at, until)

    def kill(self, actor: Actor) -> None:
        """Somebody else dies where they stand, now."""
        actor.doomed = True
        actor.wake_at = self.now

    def run(self, until: int) -> None:
        """Play until this time."""
        self._hall = getcurrent()
        self._ends_at = until
        following = self._next()
        while following is not None:
            self._give(following)
            following = self._next()
        if self.failure is not None:
            self.close()
            raise self.failure

    def close(self) -> None:
        """Everybody dies where they stand."""
        self._over = True
        for actor in self._actors:
            if actor.on_stage is not None and not actor.done:
                actor.doomed = True
                self._current = actor
                actor.on_stage.parent = getcurrent()
                actor.on_stage.throw(Died)

    def _next(self) -> Actor | None:
        """Who wakes first; None when the time is over."""
        if self._over or self.failure is not None:
            return None
        following = min(self._actors, key=_wake_at, default=None)
        if following is None or following.wake_at > self._ends_at:
            self.now = max(self.now, self._ends_at)
            return None
        self.now = max(self.now, following.wake_at)
        return following

    def _give(self, following: Actor | None) -> None:
        self._current = following
        if following is None:
            self._hall.switch()
            return
        if following.on_stage is None:
            following.on_stage = greenlet(lambda: self._perform(following), self._hall)
        following.on_stage.switch()

    def _perform(self, actor: Actor) -> None:
        """An actor's whole life; when it ends, the baton goes back to the hall."""
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
            if not self._over:
                self._actors.remove(actor)


def _wake_at(actor: Actor) -> int:
    return actor.wake_at

"""The ability that a store may have to end the sleep of beats."""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Hears wake-ups over a connection of its own; used by one thread."""

    def wait(self, seconds: float) -> bool:
        """Whether beats were woken since it listens, or since it last answered True; waits so long for that.

        :raises StoreError: if the connection is lost; what was called meanwhile is not heard.
        """

    def close(self) -> None:
        """Release the connection."""


class Wakes(Protocol):
    """Calls beats."""

    def wake(self) -> None:
        """Wake every beat of the namespace that listens. :raises StoreError: if none can be."""


class WakeUps(Wakes, Protocol):
    """What a store may have as its attribute ``wake_ups``: the ability to end the sleep of beats.

    Nothing relies on it: a wake-up that is lost costs one poll interval.
    """

    def listen(self) -> Listener:
        """Connect, and hear what is called from now on.

        :raises StoreUnavailable: if it cannot be reached now. :raises StoreRefused: if it will not work at all.
        """


def wake_ups_of(store: object) -> WakeUps | None:
    """The ability of a store, None where it has none."""
    ability: WakeUps | None = getattr(store, "wake_ups", None)
    return ability

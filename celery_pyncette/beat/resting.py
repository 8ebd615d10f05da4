"""Where a beat sleeps between two ticks: here, if the store can wake it, else in Celery's loop."""

from __future__ import annotations

from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.sleeper import Sleeper
from celery_pyncette.runtime import Runtime


class Resting:
    """Sleeps for a conductor; whether the store can wake it is asked once, after the first tick that reached it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._settled = False
        self._sleeper: Sleeper | None = None

    def sleep(self, conductor: Conductor, seconds: float) -> float:
        """Sleep, if the store can wake us; answers what is left to sleep."""
        if not self._settled and conductor.meta is not None:
            self._settled = True
            self._sleeper = self._runtime.sleeper()
            if self._sleeper is not None:
                self._sleeper.start()
        if self._sleeper is None:
            return seconds
        if seconds > 0 and self._sleeper.sleep(seconds):
            conductor.wake()
        return 0.0

    def stop(self) -> None:
        """End a sleep that is going on, and every later one at once; takes no lock."""
        if self._sleeper is not None:
            self._sleeper.stop()

"""When the fixtures of a beat are set up and torn down: at its first tick, and when its loop has ended."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
from types import FrameType
from typing import NoReturn

from celery import Celery

from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.distress import give_up, line_of
from celery_pyncette.fixtures.definitions import Process
from celery_pyncette.fixtures.lives import Life
from celery_pyncette.fixtures.registry import fixtures_of

logger = logging.getLogger(__name__)


class BeatFixtures:
    """Those of one beat.

    Celery says nowhere that the loop has ended. ``tick`` may be left by an exception; a loop that was asleep calls
    ``close`` once more after the call in the signal handler; and there is the end of the interpreter.
    """

    def __init__(self, app: Celery, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._life: Life | None = None
        self._closings = 0

    def begin(self) -> None:
        """Set them up, if that has not been done.

        :raises FixtureFailed, ConfigurationError: if one of them cannot be; that ends the beat.
        """
        if self._life is not None:
            return
        self._life = Life(self._clock)
        fixtures = fixtures_of(self._app)
        try:
            chosen = [] if fixtures is None else fixtures.of(Process.BEAT)
            if not chosen:
                return
            self._be_told_to_stop()
            self._life.begin(chosen)
        except PyncetteError as error:
            self._tell_worker(str(error), error)
            raise
        except SystemExit as stop:
            if stop.code:  # not the one of a signal handler: a fixture has raised it
                self._tell_worker(f"a fixture has ended its process, with status {stop.code!r}", stop)
            raise
        atexit.register(self.end)

    def _tell_worker(self, problem: str, error: BaseException) -> None:
        """A worker does not notice that its beat is dead."""
        line = line_of(self._app)
        if line is not None and line["pid"] == os.getppid():
            logger.error("fixture_failed", exc_info=error)
            give_up(f"fixture_failed: {problem}", line)

    def end(self) -> None:
        """Tear them down; once."""
        if self._life is not None:
            self._life.end()

    def closed(self) -> None:
        """``close`` was called, outside of a tick."""
        self._closings += 1
        if self._closings > 1:
            self.end()

    def _be_told_to_stop(self) -> None:
        """A beat within a worker has no handler for the signal that ends it, and would be gone at once."""
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> NoReturn:
        self._closings = 1  # what Celery's own handler does
        raise SystemExit

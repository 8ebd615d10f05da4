"""A thread that looks whether the beat's loop is alive, and says where it stands still."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType

from celery_pyncette import events
from celery_pyncette.observe.health import Health

#: Frames that are shown, the innermost last.
_FRAMES = 6


class Watchdog:
    """Tells ``Stuck`` once, and ``Unstuck`` when the loop goes on.

    :param loop: the id of the thread that the loop runs in.
    """

    def __init__(self, health: Health, loop: int, tell: Callable[[events.Event], None], every: float) -> None:
        self._health = health
        self._loop = loop
        self._tell = tell
        self._every = every
        self._stuck_for: float | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="pyncette-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            self.look()

    def look(self) -> None:
        """Look once."""
        age = self._health.loop_age
        if self._health.stuck:
            if self._stuck_for is None:
                self._tell(events.Stuck(seconds=age, where=where(sys._current_frames().get(self._loop))))
            self._stuck_for = age
        elif self._stuck_for is not None:
            seconds, self._stuck_for = self._stuck_for, None
            self._tell(events.Unstuck(seconds=seconds))


def where(frame: FrameType | None) -> str:
    """The innermost frames as ``file:line function``; no values, which may be secrets."""
    lines: list[str] = []
    while frame is not None and len(lines) < _FRAMES:
        code = frame.f_code
        lines.append(f"{'/'.join(code.co_filename.rsplit('/', 2)[-2:])}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(lines) or "nowhere: its thread has ended"

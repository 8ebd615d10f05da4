"""A contestant of ``delay.py`` whose processes are killed half-way: ``python -m tests.benchmarks.delay --kill``."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any, ClassVar

from tests.benchmarks.delay_trial import CeleryTrial

#: Seconds between the death of the beat and that of the worker.
APART = 5


class KilledTrial(CeleryTrial):
    """One beat is killed in the middle, then the worker with its children; nobody replaces the beat.

    Tasks are acknowledged late, so that the broker redelivers what a killed worker had.
    """

    conf: ClassVar[dict[str, Any]] = {
        "task_acks_late": True,
        "broker_transport_options": {"visibility_timeout": 20, "unacked_restore_interval": 1},
    }
    _killed = 0

    def watch(self, seconds: float) -> None:
        """Kill who is next when its time has come."""
        if self._killed == 0 and seconds > self.load.spread / 2:
            self._kill(self.groups["beats"][0])
        elif self._killed == 1 and seconds > self.load.spread / 2 + APART:
            self._kill(self.groups["worker"][0])
            self.worker()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._killed += 1

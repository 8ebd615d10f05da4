"""The only module that reads a clock of this host."""

from __future__ import annotations

import os
import secrets
import time
from typing import Protocol

from celery_pyncette.core.instants import Instant


class Clock(Protocol):
    """A source of time, replaced by ``testing.FakeClock`` in tests."""

    def now(self) -> Instant:
        """Wall-clock time. Never compared with another host's."""

    def monotonic(self) -> float:
        """Seconds since some start; never steps back, and goes on while the machine sleeps where the system can."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock:
    """This host's clocks."""

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000_000)

    def monotonic(self) -> float:
        return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def new_id() -> str:
    """A random identifier of 16 characters, for generations, writes, stores."""
    return secrets.token_hex(8)


def owner_id(host: str) -> str:
    """What this process calls itself as the owner of leases: host:pid:random."""
    return f"{host}:{os.getpid()}:{secrets.token_hex(4)}"

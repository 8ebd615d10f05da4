"""The sleep of a beat, which a store may end.

A thread listens; it blocks in the driver, and costs nothing while nothing is called. A wake-up that is lost, with its
server or for any other reason, costs one poll interval.
"""

from __future__ import annotations

import contextlib
import logging
import threading

from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import StoreError, StoreRefused
from celery_pyncette.stores.protocol import Listener, WakeUps

logger = logging.getLogger(__name__)

#: How long the store is listened to before the connection is looked at again; seconds.
LISTEN_FOR = 10.0
#: After a lost connection, seconds.
RECONNECT_AFTER = 1.0
#: After a refusal, which may be mended without a restart; seconds.
ASK_AGAIN_AFTER = 60.0
#: Between two sleeps that were cut short, so that a thousand wake-ups are not a thousand claims; seconds.
REST = 0.02


class Sleeper:
    """Sleeps in one thread, listens in another from :meth:`start` to :meth:`stop`."""

    def __init__(self, wake_ups: WakeUps, clock: Clock) -> None:
        self._wake_ups = wake_ups
        self._clock = clock
        self._called = threading.Event()
        self._stopped = False
        self._refused = False
        self._up_since = -REST

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._run, name="pyncette-wake-ups", daemon=True).start()

    def stop(self) -> None:
        """Listen no more; returns at once, takes no lock."""
        self._stopped = True

    def sleep(self, seconds: float) -> bool:
        """Sleep for so long, or until the store calls; answers whether it did."""
        rest = min(seconds, REST - (self._clock.monotonic() - self._up_since))
        if rest > 0:
            self._clock.sleep(rest)
        called = self._called.wait(max(0.0, seconds - max(0.0, rest)))
        if called:
            self._called.clear()
            self._up_since = self._clock.monotonic()
        return called

    def _run(self) -> None:
        while not self._stopped:
            pause = RECONNECT_AFTER
            try:
                with contextlib.closing(self._wake_ups.listen()) as listener:
                    self._listen(listener)
            except StoreRefused as error:
                pause = ASK_AGAIN_AFTER
                if not self._refused:
                    logger.warning("wake_ups_off: %s; this beat sees changes when it polls", error)
                self._refused = True
            except StoreError as error:
                logger.debug("wake_ups_interrupted: %s", error)
            except Exception as error:  # noqa: BLE001 - the beat goes on without
                pause = ASK_AGAIN_AFTER
                logger.warning("wake_ups_interrupted: %s: %s", type(error).__name__, error)
            if not self._stopped:
                self._clock.sleep(pause)

    def _listen(self, listener: Listener) -> None:
        self._called.set()  # what was called before nobody heard
        while not self._stopped:
            if listener.wait(LISTEN_FOR):
                self._called.set()

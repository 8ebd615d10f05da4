"""The last words of a beat that is being stopped: what it holds is given back, in bounded time."""

from __future__ import annotations

import logging
import threading

from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.runtime import FAREWELL, Runtime

logger = logging.getLogger(__name__)


def say_farewell(conductor: Conductor, runtime: Runtime) -> None:
    """Give back what this beat holds; its own connection may have been interrupted mid-word, so over a fresh one.

    What fails here is healed by the leases.
    """
    if not conductor.owes:
        return
    # A thread, because a driver's time-outs are per step: connecting alone may take several.
    last_words = threading.Thread(target=_give_back, args=(conductor, runtime), name="pyncette-farewell", daemon=True)
    last_words.start()
    last_words.join(FAREWELL)
    if last_words.is_alive():
        logger.warning("farewell_failed: the store does not answer; the leases end by themselves")


def _give_back(conductor: Conductor, runtime: Runtime) -> None:
    try:
        store = runtime.farewell_store()
        conductor.give_back(store)
        store.close()
    except Exception as error:  # noqa: BLE001 - nothing may stand in the way of the exit
        logger.warning("farewell_failed: %s; the leases end by themselves", error)

"""One thread per process: renews the leases of all running tasks at once, and writes reports that could not be written.

A thread, and not a timer of the worker's event loop, which stands still while a pool is joined, while a soft shutdown
sleeps, and always in the solo pool. It is a daemon and is never told to stop: tasks still run while a worker stops.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import PyncetteError, StoreError
from celery_pyncette.core.starts import Delivery
from celery_pyncette.engine.errands import carry_out
from celery_pyncette.engine.holding import Labels
from celery_pyncette.engine.reporting import Ending, Report
from celery_pyncette.engine.watched import Watched
from celery_pyncette.stores.protocol import Store

logger = logging.getLogger(__name__)

#: Seconds after which a store that did not answer is asked again.
_ASK_AGAIN = 1.0
#: A report is given up once its lease has ended that many leases ago, and not before this many seconds.
_LEASES = 10
_AT_LEAST = 600.0
_IDLE = 3600.0


class Keeper:
    """Watches running tasks and owes reports; everything but :meth:`step` may be called from any thread.

    :param store: the store of this process; called in the keeper's own thread.
    """

    def __init__(self, store: Callable[[], Store], clock: Clock, see: Callable[[events.Event], None]) -> None:
        self._store = store
        self._clock = clock
        self._see = see
        self._watched: dict[str, Watched] = {}
        self._owed: dict[str, Report] = {}
        self._owed_at = 0.0
        self._awake_at = math.inf
        self._chores: list[Chore] = []
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def watch(self, delivery: Delivery, labels: Labels, stop: Callable[[], None]) -> None:
        """The pool has accepted a task: keep its lease alive from its START on, until :meth:`ended`."""
        nonce = delivery.nonce
        one = Watched(delivery=delivery, labels=labels, see=self._see, stop=stop, since=self._clock.monotonic())
        self._watched[nonce] = one
        if one.next_at < self._awake_at:
            self.wake()

    def ended(self, nonce: str) -> None:
        """The task of this delivery runs no more."""
        watched = self._watched.pop(nonce, None)
        if watched is not None:
            watched.over = True

    def lost(self, nonce: str) -> bool:
        """Whether the lease of a watched task is known to be lost."""
        watched = self._watched.get(nonce)
        return watched is not None and watched.lost

    @property
    def busy(self) -> bool:
        """Whether anything is watched or owed."""
        return bool(self._watched or self._owed)

    def owe(self, delivery: Delivery, labels: Labels, ending: Ending) -> None:
        """Report how a run ended, for a pool's child that could not; nothing happens if it could."""
        self.owe_report(Report(delivery=delivery, labels=labels, ending=ending, see=self._see))

    def owe_report(self, report: Report) -> None:
        """Write this report as soon as the store lets us, until its lease has ended long ago."""
        lease = report.delivery.ticket.lease_ms / 1000
        report.known = None  # with what is fetched comes the store's time
        report.give_up_at = self._clock.monotonic() + max(_AT_LEAST, _LEASES * lease)
        self._owed[report.delivery.nonce] = report
        self._owed_at = 0.0
        self.wake()

    def every(self, seconds: float, do: Callable[[Store], None]) -> None:
        """Do this at once, and again and again."""
        self._chores.append(Chore(seconds, do))
        self.wake()

    def wake(self) -> None:
        """Start the thread, or let it look at what is new."""
        self._news.set()
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="pyncette-keeper", daemon=True)
                self._thread.start()

    def flush(self, seconds: float) -> bool:
        """Wait until no report is owed; whether that was reached."""
        end = self._clock.monotonic() + seconds
        while self._owed:
            if self._clock.monotonic() >= end:
                return False
            self._clock.sleep(0.02)
        return True

    def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                wait = self.step()
            except Exception:
                logger.exception("keeper_failed: trying again")
                wait = _ASK_AGAIN
            self._awake_at = self._clock.monotonic() + wait
            self._news.wait(wait)
            self._awake_at = math.inf

    def step(self) -> float:
        """Do what is due; answers how many seconds nothing will be."""
        at = self._clock.monotonic()
        watched = [one for one in list(self._watched.values()) if not one.lost]
        due = [one for one in watched if one.due(at)] if any(at >= one.next_at for one in watched) else []
        owed = list(self._owed.values()) if at >= self._owed_at else []
        chores = [chore for chore in self._chores if at >= chore.next_at]
        try:
            if due or owed:
                self._round(at, due, owed)
        except PyncetteError as error:
            self._failed(error, due, owed)
        for chore in chores:
            chore.next_at = at + chore.seconds
            with contextlib.suppress(StoreError):  # Guarded says so; no lease is judged by it
                chore.do(self._store())
        return self._wait(self._clock.monotonic())

    def _round(self, at: float, due: list[Watched], owed: list[Report]) -> None:
        for one in due:
            one.prepare(at)
        carry_out(self._store(), self._clock, [*owed, *due])
        for report in owed:
            if report.done and self._owed.get(report.delivery.nonce) is report:
                del self._owed[report.delivery.nonce]
        self._still_owed([report for report in owed if not report.done], "its record cannot be read, or changed")
        for one in due:
            if one.next_at <= at:  # others came in between each time
                one.next_at = at + min(_ASK_AGAIN, one.period)

    def _failed(self, error: PyncetteError, due: list[Watched], owed: list[Report]) -> None:
        """The store is away, or a person must act; Guarded says so. Leases are lost when they are, not now."""
        if not isinstance(error, StoreError):
            logger.error("keeper_failed: %s", error, extra={"error": str(error)})
        now = self._clock.monotonic()
        for one in list(self._watched.values()):
            one.unreachable(now)
        for one in due:
            one.next_at = now + min(_ASK_AGAIN, one.period / 4)
        self._still_owed(owed, "the store could not be reached")

    def _still_owed(self, reports: list[Report], reason: str) -> None:
        """Ask again in a while; what is too old is given up, with this reason."""
        now = self._clock.monotonic()
        self._owed_at = now + _ASK_AGAIN if reports else self._owed_at
        for report in reports:
            report.known = None
            if now >= report.give_up_at:
                report.dropped(reason)
                self._owed.pop(report.delivery.nonce, None)

    def _wait(self, now: float) -> float:
        times = [one.next_at for one in list(self._watched.values()) if not one.lost]
        times += [chore.next_at for chore in self._chores]
        if self._owed:
            times.append(self._owed_at)
        return max(0.0, min(times) - now) if times else _IDLE


class Chore:
    """Something that is done again and again."""

    def __init__(self, seconds: float, do: Callable[[Store], None]) -> None:
        self.seconds = seconds
        self.do = do
        self.next_at = 0.0

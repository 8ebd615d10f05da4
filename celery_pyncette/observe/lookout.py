"""What watches one beat, put together: health always, metrics and HTTP and pings where they are asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from celery_pyncette.clock import Clock
from celery_pyncette.events import Observers
from celery_pyncette.observe.alarms import Alarms
from celery_pyncette.observe.census import DEAD, PARKED, Census
from celery_pyncette.observe.health import Health
from celery_pyncette.observe.pages import Page, answered, text
from celery_pyncette.observe.pings import Pings
from celery_pyncette.observe.server import Server
from celery_pyncette.observe.watchdog import Watchdog
from celery_pyncette.settings import Settings
from celery_pyncette.stores.protocol import Store

if TYPE_CHECKING:
    from celery_pyncette.observe.metrics import Metrics

logger = logging.getLogger("celery_pyncette")

#: A loop without a sign of life for so many claim times and store time-outs, and one poll interval, is stuck.
_SLOWEST = 4
_WITHOUT_CLIENT = "metrics need prometheus_client: pip install celery-pyncette[metrics]"


class Lookout:
    """For a beat that will run; :meth:`start` in its loop's thread, :meth:`stop` at its end, as often as you like.

    :param open_store: opens a store of one's own, to count what lies in it.
    :param metrics: that of the process, if it has one already.
    :param tasks: names of the tasks that are expected; their alarms are shown with 0 from the start.
    :raises ConfigurationError: for a ping that is no URL.
    """

    def __init__(
        self,
        settings: Settings,
        observers: Observers,
        clock: Clock,
        *,
        open_store: Callable[[], Store],
        metrics: Metrics | None = None,
        tasks: Iterable[str] = (),
    ) -> None:
        self._settings = settings
        self._observers = observers
        self._clock = clock
        slowest = _SLOWEST * (settings.claim_time + settings.beat_store_timeout)
        self._stuck_after = stuck_after = (slowest + settings.poll_interval) / 1000
        self.health = Health(clock, grace=settings.health_grace_ms / 1000, stuck_after=stuck_after)
        observers.add(self.health)
        observers.add(Alarms(settings.shortest_grace / 1000, observers.see))
        pings = [(name, policy.ping) for name, policy in settings.policies if policy.ping]
        self._pings = Pings(pings, observers.see, clock) if pings else None
        if self._pings is not None:
            observers.add(self._pings)
        self._metrics = metrics
        self._server: Server | None = None
        self._censuses: list[Census] = []
        if settings.http_address is not None:
            self._metrics = self._with_metrics(metrics, tasks)
            self._server = Server(settings.http_address, self.pages(), observers.see, clock)
            self._censuses.append(Census(open_store, self._count_dead, DEAD, clock))
            if settings.delay_queue:
                self._censuses.append(Census(open_store, self._count_parked, PARKED, clock))
        self._watchdog: Watchdog | None = None
        self._stopped = False

    def _with_metrics(self, metrics: Metrics | None, tasks: Iterable[str]) -> Metrics | None:
        if metrics is None:
            metrics = new_metrics()
            if metrics is None:
                logger.warning("metrics_unavailable: %s; /health, /live and /ready are served", _WITHOUT_CLIENT)
                return None
            self._observers.add(metrics)
        for task in tasks:
            metrics.expect(task)
        metrics.meters.ask(self.health.states)
        return metrics

    def _count_parked(self, count: int | None) -> None:
        self.health.parked = count

    def _count_dead(self, count: int | None) -> None:
        self.health.dead = count

    def pages(self) -> dict[str, Callable[[Mapping[str, str]], Page]]:
        """What is answered, by path."""
        health = self.health
        return {
            "/metrics": self._metrics_page,
            "/health": lambda headers: answered(health.health(), HTTPStatus.INTERNAL_SERVER_ERROR),
            "/live": lambda headers: answered(health.live(), HTTPStatus.SERVICE_UNAVAILABLE),
            "/ready": lambda headers: answered(health.ready(), HTTPStatus.SERVICE_UNAVAILABLE),
        }

    def _metrics_page(self, headers: Mapping[str, str]) -> Page:
        if self._metrics is None:
            return text(HTTPStatus.NOT_IMPLEMENTED, _WITHOUT_CLIENT)
        body, content_type = self._metrics.meters.page(headers.get("accept", ""))
        return Page(HTTPStatus.OK, content_type, body)

    def start(self) -> None:
        """Begin to watch the thread that calls this, and to answer."""
        if self._watchdog is not None or self._stopped:
            return
        self._watchdog = Watchdog(self.health, threading.get_ident(), self._observers.see, self._stuck_after / 12)
        self._watchdog.start()
        for one in (self._server, *self._censuses):
            if one is not None:
                one.start()

    def stop(self) -> None:
        """End; does not wait."""
        self._stopped = True
        for one in (self._server, *self._censuses, self._watchdog, self._pings):
            if one is not None:
                one.stop()


def new_metrics() -> Metrics | None:
    """Metrics with a registry of their own; None where prometheus_client is not installed."""
    try:
        from celery_pyncette.observe.metrics import Metrics
    except ModuleNotFoundError:
        return None
    return Metrics()


def shared_metrics() -> Metrics | None:
    """The metrics of this process for prometheus_client's multiprocess mode."""
    try:
        from celery_pyncette.observe.metrics import shared
    except ModuleNotFoundError:
        logger.warning("metrics_unavailable: %s", _WITHOUT_CLIENT)
        return None
    return shared()

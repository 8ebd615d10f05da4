"""The composition root: settings, store, observers, and a beat's conductor, put together for one Celery app."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from celery import Celery

import celery_pyncette
from celery_pyncette.clock import Clock, SystemClock, new_id, owner_id
from celery_pyncette.core.errors import StoreNotConfigured
from celery_pyncette.core.instants import Instant
from celery_pyncette.engine.conductor import Conductor
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.engine.post import Post
from celery_pyncette.engine.publisher import Publisher
from celery_pyncette.engine.results import Bounded, Source
from celery_pyncette.engine.sleeper import Sleeper
from celery_pyncette.events import Observers
from celery_pyncette.observe.logs import LogObserver
from celery_pyncette.observe.lookout import Lookout, shared_metrics
from celery_pyncette.settings import Settings, WakeUp
from celery_pyncette.signals import SignalObserver
from celery_pyncette.stores import mask, open_store
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.protocol import Store, Wakes, wake_ups_of
from celery_pyncette.stores.rousing import Rousing

__all__ = ["Lookout", "Runtime", "fingerprint"]

#: A beat that is being stopped gives back what it holds within this; seconds.
FAREWELL = 2.0
#: Set by whoever wants the metrics of all processes of a host in one place; prometheus_client's own variable.
_MANY = "PROMETHEUS_MULTIPROC_DIR"
#: The part of the claim time that a beat waits for the result backend; after half of it nothing is sent any more.
_HEARING = 0.3


class Runtime:
    """What one process runs for one app.

    :param store_url: instead of ``pyncette_store_url``; a beat has a default of its own.
    :raises ConfigurationError: for a wrong setting.
    """

    def __init__(self, app: Celery, *, store_url: str | None = None, clock: Clock | None = None) -> None:
        self.app = app
        self.settings = Settings.of(app)
        self.store_url = store_url or self.settings.store_url
        self.clock = clock or SystemClock()
        self.observers = Observers([LogObserver(self.clock)])
        self._metrics = shared_metrics() if os.environ.get(_MANY) else None
        if self._metrics is not None:
            self.observers.add(self._metrics)
        self.owner = owner_id(socket.gethostname())

    @property
    def store_name(self) -> str:
        """The store's URL without its secrets."""
        return mask(self._url())

    def open_store(self, timeout: float | None = None, *, attempts: int | None = None, rousing: bool = False) -> Store:
        """The store, guarded: calls are bounded by ``timeout`` seconds (default: the clients' time-out).

        :param attempts: how often one call is tried, however long that takes; else as often as the time allows.
        :param rousing: whether what is written wakes the beats, if it is due before they would look by themselves.
        :raises StoreNotConfigured: without ``pyncette_store_url``.
        """
        seconds = self.settings.client_store_timeout / 1000 if timeout is None else timeout
        store = open_store(self._url(), self.settings.namespace, timeout=seconds)
        # Beats and workers stay out of the transactions of user code.
        store = self.roused_by(store, wake_ups_of(store)) if rousing else getattr(store, "own", store)
        budget = seconds if attempts is None else math.inf
        return Guarded(store, self.observers, clock=self.clock, budget=budget, attempts=attempts, name=self.store_name)

    def roused_by(self, store: Store, wake_ups: Wakes | None) -> Store:
        """The store as it is for clients: beats that sleep are woken by what it writes, where that is possible."""
        if wake_ups is None or self.settings.wake_up is WakeUp.OFF:
            return store
        return Rousing(store, wake_ups, self.settings.poll_interval)

    def sleeper(self) -> Sleeper | None:
        """What a beat sleeps in; None where nothing can wake it."""
        store = open_store(self._url(), self.settings.namespace, timeout=self.settings.beat_store_timeout / 1000)
        wake_ups = wake_ups_of(store)
        if wake_ups is None or self.settings.wake_up is WakeUp.OFF:
            return None
        return Sleeper(wake_ups, self.clock)

    def farewell_store(self) -> Store:
        """A fresh store for the last words of a beat, whose own connection may be in the middle of something."""
        store = open_store(self._url(), self.settings.namespace, timeout=FAREWELL / 2)
        store.prepare(None)
        return store

    def conductor(
        self,
        definitions: Definitions,
        publisher: Publisher,
        last_runs: Callable[[], Mapping[str, Instant]],
        results: Source | None = None,
    ) -> Conductor:
        """A beat's work, over a store of its own.

        :param results: who knows what became of runs, where the workers have no gate to report it.
        """
        settings = self.settings
        post = Post(
            namespace=settings.namespace,
            store_name=self.store_name,
            owner=self.owner,
            fingerprint=fingerprint(self.app),
            store_id=new_id(),
            partitions=settings.partitions,
            poll_interval=settings.poll_interval,
            claim_time=settings.claim_time,
            batch_size=settings.batch_size,
            stale_after=settings.stale_after,
            about={"host": socket.gethostname(), "pid": os.getpid(), "version": celery_pyncette.__version__},
            last_runs=last_runs,
            create=settings.store_create,
        )
        store = self.open_store(settings.beat_store_timeout / 1000)
        asked = None if results is None else Bounded(results, settings.claim_time / 1000 * _HEARING)
        return Conductor(post, store, definitions, publisher, self.observers, self.clock, asked)

    def lookout(self, tasks: Iterable[str] = ()) -> Lookout:
        """What watches a beat of this process, and answers for it over HTTP if that is asked for.

        :param tasks: names of the tasks that are expected to be sent.
        :raises ConfigurationError: for a ping in ``pyncette_policies`` that is no URL.
        """
        self.observers.add(SignalObserver())
        timeout = self.settings.beat_store_timeout / 1000
        return Lookout(
            self.settings,
            self.observers,
            self.clock,
            open_store=lambda: open_store(self._url(), self.settings.namespace, timeout=timeout),
            metrics=self._metrics,
            tasks=tasks,
        )

    def _url(self) -> str:
        if self.store_url is None:
            raise StoreNotConfigured(
                "pyncette_store_url is not set: without it only beats run, on one host; set it to the URL of a "
                "store that all processes reach, for example redis://host:6379/1"
            )
        return self.store_url


def fingerprint(app: Celery) -> str:
    """Which application this is: its name, and the broker that it sends to, without any secret."""
    connection: Any = app.connection_for_write()
    host = connection.hostname or "localhost"
    port = f":{connection.port}" if connection.port else ""
    return f"{app.main or 'celery'} at {host}{port}/{(connection.virtual_host or '').lstrip('/')}"

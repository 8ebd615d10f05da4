"""Where the client calls of one app work: its settings, its rules, its store."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from celery import Celery

from celery_pyncette.core.errors import SchemaMismatch
from celery_pyncette.core.frame import Schedule
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import EntrySpec
from celery_pyncette.core.schedules import Cron, CronFields
from celery_pyncette.reading import zone_of
from celery_pyncette.rulebook import Rulebook
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.files import sqlite_path
from celery_pyncette.stores.protocol import Meta, Store

_ATTRIBUTE = "_pyncette_desk"


class Desk:
    """One app's; usable from any thread, and after a fork: stores never share a connection with a parent process.

    There is no lock: two threads that come first may both verify the store.

    :param store: instead of the one that the settings name.
    :raises ConfigurationError: for a wrong setting.
    """

    def __init__(self, app: Celery, store: Store | None = None) -> None:
        self.app = app
        self.runtime = Runtime(app)
        settings = self.runtime.settings
        self.settings = settings
        self.zone = zone_of(app)
        self.max_payload = settings.max_payload
        self.allowed_tasks = settings.allowed_tasks
        self._rulebook = Rulebook(app, settings, self.zone)
        self._held: dict[str, Store] = {} if store is None else {"store": store}
        self._meta: Meta | None = None

    @property
    def store(self) -> Store:
        """The store, verified once; each call of it is bounded by the clients' time-out.

        :raises StoreNotConfigured: without ``pyncette_store_url``. :raises SchemaMismatch: before the first beat.
        """
        store = self._held.get("store")
        if store is None:
            path = sqlite_path(self.runtime.store_url or "")
            if path is not None and not path.exists():
                raise SchemaMismatch(f"{self.runtime.store_name}: there is no such file; the first beat makes it")
            # Of two threads the later one drops what it made; nothing was connected yet.
            store = self._held.setdefault("store", self.runtime.open_store(rousing=True))
        if self._meta is None:
            self._meta = store.prepare(None)
        return store

    @property
    def meta(self) -> Meta:
        """What the namespace says of itself, as it was when this process first looked. Errors as of :attr:`store`."""
        if self._meta is None:
            _ = self.store
        assert self._meta is not None
        return self._meta

    def rules(self, spec: EntrySpec, schedule: Schedule | None, *, strict: bool = False) -> Rules:
        """The rules of an entry; ``strict`` as in ``Facts``. :raises InvalidEntry: if they contradict each other."""
        cron = isinstance(schedule, (Cron, CronFields))
        rules = self._rulebook.rules(spec, cron=cron)
        if strict and rules.aware and rules.expires is not None:
            return self._rulebook.resolved(spec, cron=cron, strict=True)
        return rules

    @property
    def static(self) -> Container[str]:
        """The names that this process's configuration has as static entries."""
        names: Container[str] = self.app.conf.beat_schedule or ()
        return names

    def close(self) -> None:
        """Release the connections; the next call opens new ones."""
        store, self._meta = self._held.pop("store", None), None
        if store is not None:
            store.close()


def desk_of(app: Celery) -> Desk:
    """The desk of an app. Its settings are read at the first call."""
    held: dict[str, Any] = vars(app)
    desk: Desk | None = held.get(_ATTRIBUTE)
    return held.setdefault(_ATTRIBUTE, Desk(app)) if desk is None else desk


def seat(desk: Desk) -> None:
    """From now on the calls for its app go through ``desk``; for tests."""
    vars(desk.app)[_ATTRIBUTE] = desk

"""What one process has for one app: runtime, store, keeper; opened at first use, never inherited from a parent."""

from __future__ import annotations

import os
import threading
import weakref

from celery import Celery

from celery_pyncette.engine.keeper import Keeper
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.protocol import Store

#: A call of the store from a worker is tried this often.
_ATTEMPTS = 2


class Office:
    """Made of an app without reading its configuration. What a forked child finds of its parent's it leaves alone."""

    def __init__(self, app: Celery) -> None:
        self._app = weakref.ref(app)
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._runtime: Runtime | None = None
        self._store: Store | None = None
        self._keeper: Keeper | None = None
        self._store_id: str | None = None

    def _own(self) -> threading.RLock:  # type: ignore[valid-type, unused-ignore]
        if self._pid != os.getpid():
            self._forget()
        return self._lock

    @property
    def runtime(self) -> Runtime:
        """:raises ConfigurationError: for a wrong setting."""
        with self._own():
            if self._runtime is None:
                app = self._app()
                assert app is not None, "the app is gone"
                self._runtime = Runtime(app)
            return self._runtime

    @property
    def store(self) -> Store:
        """The store of this process. :raises ConfigurationError: if there is none."""
        with self._own():
            if self._store is None:
                self._store = self.runtime.open_store(attempts=_ATTEMPTS)
            return self._store

    @property
    def keeper(self) -> Keeper:
        """The keeper of this process; its thread is started when there is something to do."""
        with self._own():
            if self._keeper is None:
                runtime = self.runtime
                self._keeper = Keeper(lambda: self.store, runtime.clock, runtime.observers.see)
            return self._keeper

    @property
    def owes(self) -> bool:
        """Whether this process has reports that it could not write yet."""
        return self._pid == os.getpid() and self._keeper is not None and self._keeper.busy

    def store_id(self, *, anew: bool = False) -> str:
        """Which store this is; asked once, or ``anew``: it may have been emptied and founded again meanwhile.

        :raises StoreError: as ``Store.prepare``.
        """
        if anew or self._pid != os.getpid() or self._store_id is None:
            store = self.store
            self._store_id = store.prepare(None).store_id
        return self._store_id


_offices: weakref.WeakKeyDictionary[Celery, Office] = weakref.WeakKeyDictionary()


def office_of(app: Celery) -> Office:
    """The office of an app in this process."""
    app = getattr(app, "_get_current_object", lambda: app)()
    office = _offices.get(app)
    return office if office is not None else _offices.setdefault(app, Office(app))

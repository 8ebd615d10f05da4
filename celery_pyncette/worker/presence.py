"""A gated worker says that it lives: a leased record, like that of a beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery_pyncette.core.records import Key, Lease, Write
from celery_pyncette.engine.keeping import KEEP_FOR, PRESENCE, keeping_record
from celery_pyncette.stores.protocol import Store
from celery_pyncette.stores.writes import change_of


class Presence:
    """The presence of one worker's main process."""

    def __init__(self, owner: str, about: Mapping[str, Any]) -> None:
        """:param about: what it says: queues, hostname, pool."""
        self._owner = owner
        self._key = Key(PRESENCE + owner)
        self._about = {"kind": "worker", **about}

    def keep(self, store: Store) -> None:
        """Renew it."""
        fetched = store.fetch([self._key])
        before = fetched.records[0]
        if before is None:
            after = keeping_record(self._key, self._about, self._owner, fetched.now)
        else:
            after = replace(before, data=self._about, lease=Lease(owner=self._owner, until=fetched.now))
        store.apply([change_of(self._key, before, Write(record=after, lease_for=KEEP_FOR))])

    def leave(self, store: Store) -> None:
        """Say that it is gone."""
        before = store.fetch([self._key]).records[0]
        if before is not None:
            store.apply([change_of(self._key, before, Write(record=None))])

"""The store of a Django project's database, which joins the transaction that a caller is in."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from celery_pyncette.clock import Clock
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key
from celery_pyncette.stores.django.address import alias_of, connection_of, url_of
from celery_pyncette.stores.django.session import DjangoSession
from celery_pyncette.stores.protocol import (
    Applied,
    Change,
    ClaimBatch,
    ClaimRequest,
    Fetched,
    Founding,
    Listener,
    Meta,
    Page,
    Query,
    WakeUps,
)
from celery_pyncette.stores.sql.joined import JoinedStore
from celery_pyncette.stores.sql.notifying import notify
from celery_pyncette.stores.sql.store import SqlStore


class DjangoStore:
    """See ``protocol.Store``; ``own`` is the same store over connections that are not Django's.

    Within ``transaction.atomic`` on the alias, in the thread of the caller, reads and writes are a part of that
    transaction. Outside, and for beats and workers, they are calls of ``own``.

    :param url: ``django://<alias>``, ``django://`` for ``default``.
    """

    def __init__(self, url: str, namespace: str, *, timeout: float = 5.0, clock: Clock | None = None) -> None:
        self.alias = alias_of(url)
        self.own = SqlStore(url_of(self.alias), namespace, timeout=timeout, clock=clock)
        self.own.shown = f"django://{self.alias}"
        self.namespace = namespace
        self.wake_ups: WakeUps | None = None if self.own.wake_ups is None else self
        self._meta: Meta | None = None

    def _here(self) -> SqlStore | JoinedStore:
        connection = connection_of(self.alias)
        if not connection.in_atomic_block or self._meta is None:
            return self.own
        # Kept by the connection, and gone with it: what is kept refers to it.
        kept: weakref.WeakKeyDictionary[Any, JoinedStore]
        kept = vars(connection).setdefault("_pyncette", weakref.WeakKeyDictionary())
        joined = kept.get(self)
        if joined is None:
            session = DjangoSession(connection)
            joined = kept[self] = JoinedStore(self.own, session, self._meta, locking=False)
        return joined

    def prepare(self, founding: Founding | None) -> Meta:
        self._meta = self.own.prepare(founding)
        return self._meta

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        return self.own.claim(request)

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        return self._here().apply(changes, seen)

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        return self._here().fetch(keys)

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        return self._here().scan(query, cursor)

    def now(self) -> Instant:
        return self._here().now()

    def wake(self) -> None:
        """See ``protocol.WakeUps``; within a transaction it is a part of it."""
        connection = connection_of(self.alias)
        if connection.in_atomic_block:
            notify(DjangoSession(connection), self.namespace)
        else:
            self.own.wake()

    def listen(self) -> Listener:
        return self.own.listen()

    def close(self) -> None:
        self.own.close()

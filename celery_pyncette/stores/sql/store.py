"""The store in an SQL database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, exc, select

from celery_pyncette.clock import Clock, SystemClock
from celery_pyncette.core.codec import Row, decode
from celery_pyncette.core.errors import CorruptRecord, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record
from celery_pyncette.stores.founding import found
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
    Verdict,
    Written,
)
from celery_pyncette.stores.rows import Head, check_key, check_siblings, entry_of, is_new, keys_of, settle
from celery_pyncette.stores.sql import schema
from celery_pyncette.stores.sql.address import sql_url
from celery_pyncette.stores.sql.claims import claims_of
from celery_pyncette.stores.sql.connections import open_engine, transaction
from celery_pyncette.stores.sql.errors import is_race, translated
from celery_pyncette.stores.sql.notifying import notify
from celery_pyncette.stores.sql.scanning import page_of
from celery_pyncette.stores.sql.tables import ROW, records
from celery_pyncette.stores.sql.writing import writer_of
from celery_pyncette.stores.urls import mask

#: How often a batch is begun anew because a record of it appeared between the look and the write.
RACES = 10

_OF_KEYS = (records.c.namespace == bindparam("ns"), records.c.key.in_(bindparam("keys", expanding=True)))
_HEADS = (
    select(records.c.key, records.c.generation, records.c.version, records.c.write_id)
    .where(*_OF_KEYS)
    .order_by(records.c.key)
    .with_for_update()
)
_ROWS = select(*ROW).where(*_OF_KEYS)


class SqlStore:
    """See ``protocol.Store``. Nothing is connected before the first call.

    :param url: ``postgresql://``, ``mysql://``, ``mariadb://`` or ``sqlite:////path``.
    :param timeout: seconds that a call waits for the database.
    :param clock: of this host; SQLite's leases live on it, the servers have their own.
    :raises ConfigurationError: for a URL that cannot be used.
    """

    def __init__(self, url: str, namespace: str, *, timeout: float = 5.0, clock: Clock | None = None) -> None:
        self.namespace = namespace
        self.partitions = 1
        self.shown = mask(url)
        self._clock = clock or SystemClock()
        self._url, self._timeout = sql_url(url), timeout
        self._engine = open_engine(self._url, timeout, self._clock)
        self.wake_ups = self if self._engine.dialect.name == "postgresql" else None
        self._claims = claims_of(self._engine.dialect.name, self._clock)
        self._writer = writer_of(self._engine.dialect.name, timeout)
        self._clock_query = None if self._claims.clock is None else select(self._claims.clock)
        self._pid = os.getpid()
        self._inherited: list[Any] = []

    def prepare(self, founding: Founding | None) -> Meta:
        with self._connected() as connection:
            schema.check_server(connection, self.shown)
            (schema.verify if founding is None else schema.upgrade)(connection, self.shown)
        meta = found(self, founding)
        self.partitions = meta.partitions
        return meta

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        wanted = request.partitions
        if wanted is not None and set(wanted) >= set(range(self.partitions)):
            wanted = None
        with self._connected() as connection:
            taken = self._claims.take(connection, self.namespace, request, wanted)
        claimed, corrupt = _decoded(taken.rows)
        return ClaimBatch(
            now=taken.now,
            records=tuple(claimed),
            next_ready_at=taken.next_ready_at,
            meta=taken.meta,
            corrupt=tuple(corrupt),
        )

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        check_siblings(changes, self.partitions)
        if not changes:
            return Applied(max(self.now(), seen), ())
        if len(changes) == 1 and is_new(changes[0]):
            created = self._create(changes[0], seen)
            if created is not None:
                return created
        for _ in range(RACES):
            with self._connected() as connection, _unless_raced(), transaction(connection):
                return self._apply(connection, changes, seen)
        raise StoreUnavailable(f"{self.shown}: others were faster {RACES} times")

    def _create(self, change: Change, seen: Instant) -> Applied | None:
        """What :meth:`_apply` would do, with two statements instead of five; None if something is there already."""
        assert change.record is not None
        entry = entry_of(change.record, 1, change.write_id)
        with self._connected() as connection, _unless_raced():
            now = self._now(connection)
            if self._writer.create(connection, self.namespace, entry, self.partitions):
                return Applied(Instant(max(now, seen)), (Written(Verdict.APPLIED, 1),))
        return None

    def _apply(self, connection: Connection, changes: Sequence[Change], seen: Instant) -> Applied:
        """Lock what is there in the order of keys, decide, write: three or four statements, however many changes."""
        found_rows = connection.execute(_HEADS, {"ns": self.namespace, "keys": keys_of(changes)})
        heads = {row[0]: Head(*row[1:]) for row in found_rows}
        now = Instant(max(self._now(connection), seen))
        settled = settle(changes, heads, now)
        if settled.deletes:
            named = {"ns": self.namespace, "keys": settled.deletes}
            connection.execute(records.delete().where(*_OF_KEYS), named)
        if settled.updates:
            self._writer.update(connection, self.namespace, settled.updates, self.partitions)
        if settled.inserts:
            inserts = sorted(settled.inserts, key=lambda entry: entry.row.key)
            self._writer.insert(connection, self.namespace, inserts, self.partitions)
        return Applied(now, tuple(settled.written))

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        for key in keys:
            check_key(key)
        with self._connected() as connection:
            now = self._now(connection)
            found_rows = connection.execute(_ROWS, {"ns": self.namespace, "keys": list(set(keys))})
            rows = {row[0]: Row(*row) for row in found_rows}
        return Fetched(now, tuple(decode(rows[key]) if key in rows else None for key in keys))

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        with self._connected() as connection, transaction(connection):
            now = self._now(connection)
            rows = [Row(*row) for row in connection.execute(page_of(self.namespace, query, cursor))]
        shown = rows[: query.limit]
        answered, corrupt = _decoded(shown)
        more = shown[-1].key if len(rows) > query.limit else None
        return Page(now=now, records=tuple(answered), cursor=more, corrupt=tuple(corrupt))

    def now(self) -> Instant:
        if self._clock_query is None:
            return self._clock.now()
        with self._connected() as connection:
            return self._now(connection)

    def close(self) -> None:
        self._forked()
        self._engine.dispose()

    def wake(self) -> None:
        """See ``protocol.WakeUps``; PostgreSQL only."""
        with self._connected() as connection:
            notify(connection, self.namespace)

    def listen(self) -> Listener:
        """See ``protocol.WakeUps``; PostgreSQL only."""
        from celery_pyncette.stores.sql.listening import PostgresqlListener
        from celery_pyncette.stores.sql.postgresql import connector

        return PostgresqlListener(connector(self._url, self._timeout), self.namespace, self.shown)

    def _now(self, connection: Connection) -> Instant:
        if self._clock_query is None:
            return self._clock.now()
        return Instant(int(connection.scalar(self._clock_query)))  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        self._forked()
        with translated(self.shown), self._engine.connect() as connection:
            yield connection

    def _forked(self) -> None:
        """A child never uses its parent's connections, and never closes them: they are kept, unused."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._inherited.append(self._engine.pool)
            self._engine.dispose(close=False)


@contextlib.contextmanager
def _unless_raced() -> Iterator[None]:
    """Go on after it, with nothing written, if another was faster."""
    try:
        yield
    except exc.DBAPIError as error:
        if not is_race(error):
            raise


def _decoded(rows: Sequence[Row]) -> tuple[list[Record], list[CorruptRecord]]:
    fine: list[Record] = []
    corrupt: list[CorruptRecord] = []
    for row in rows:
        try:
            fine.append(decode(row))
        except CorruptRecord as error:
            corrupt.append(error)
    return fine, corrupt

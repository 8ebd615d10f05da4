"""The store inside a transaction of the caller's: what is written there is there if and when that commits.

Rows are read under a lock (``FOR UPDATE``), so that a decision holds until the caller commits, also where the
transaction reads from a snapshot. A row that another transaction inserts meanwhile is waited for and then told as
EXISTS, without an error that would end the caller's transaction. Nothing is committed, rolled back or repeated here,
and errors of the database are the caller's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from celery_pyncette.clock import SystemClock
from celery_pyncette.core.codec import Row, decode
from celery_pyncette.core.errors import CorruptRecord, WrongDatabase
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.partitions import META
from celery_pyncette.core.records import Key
from celery_pyncette.stores.founding import read_meta
from celery_pyncette.stores.protocol import (
    Applied,
    Change,
    ClaimBatch,
    ClaimRequest,
    Fetched,
    Founding,
    Meta,
    Page,
    Query,
    Verdict,
    Written,
)
from celery_pyncette.stores.rows import Entry, Head, check_key, check_siblings, settle
from celery_pyncette.stores.sql.claims import claims_of
from celery_pyncette.stores.sql.scanning import page_of
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.stores.sql.tables import ROW, records
from celery_pyncette.stores.sql.writing import RowWriter, values_of

_OF_KEYS = (records.c.namespace == bindparam("ns"), records.c.key.in_(bindparam("keys", expanding=True)))
_PRESENT = select(records.c.key).where(*_OF_KEYS).order_by(records.c.key)
_ROWS = select(*ROW).where(*_OF_KEYS).order_by(records.c.key)
_LOCKED = _ROWS.with_for_update()
_WRITERS = select(records.c.key, records.c.write_id).where(*_OF_KEYS).with_for_update()
_COLUMNS = tuple(column.name for column in records.columns if column.name != "namespace")


class JoinedStore:
    """See ``protocol.Store``; of its methods those that a client call needs.

    :param store: the store that is joined; its connections are not used.
    :param connection: in a transaction, or about to begin one.
    :raises WrongDatabase: unless the connection leads to the database of ``store``.
    """

    def __init__(self, store: SqlStore, connection: Connection, meta: Meta) -> None:
        self._store, self._connection = store, connection
        dialect = connection.dialect.name
        dialect = "mysql" if dialect == "mariadb" else dialect
        self._writer = RowWriter(dialect)
        self._insert = _quiet_insert(dialect)
        self._clock = SystemClock()
        self._clock_query = claims_of(dialect, self._clock).clock
        self._heads: dict[str, Head] = {}
        self._raced: set[str] = set()
        self._check(meta)

    def _check(self, meta: Meta) -> None:
        shown = self._store.shown
        if not sqlalchemy.inspect(self._connection).has_table(records.name):
            raise WrongDatabase(f"the connection's database has no table {records.name}; the store is {shown}")
        here = read_meta(self)
        if here is None or here.store_id != meta.store_id:
            found = "no such namespace" if here is None else f"the store {here.store_id}"
            raise WrongDatabase(f"the connection's database has {found}; the store is {shown}, {meta.store_id}")

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        """See ``protocol.Store``; what is there stays locked. An absent key is not, so that no gap is."""
        for key in keys:
            check_key(key)
        named: dict[str, Any] = {"ns": self._store.namespace, "keys": sorted(set(keys))}
        if tuple(keys) == (META,):
            found = self._connection.execute(_ROWS, named)
        else:
            present = {row[0] for row in self._connection.execute(_PRESENT, named)} | (self._raced & set(keys))
            found = self._connection.execute(_LOCKED, {**named, "keys": sorted(present)})
        rows = {row[0]: Row(*row) for row in found}
        self._heads.update((key, Head(row.generation, row.version, row.write_id)) for key, row in rows.items())
        for key in keys:
            if key not in rows:
                self._heads.pop(key, None)
        return Fetched(self.now(), tuple(decode(rows[key]) if key in rows else None for key in keys))

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        """See ``protocol.Store``; decided on what :meth:`fetch` has locked."""
        partitions = self._store.partitions
        check_siblings(changes, partitions)
        now = Instant(max(self.now(), seen))
        settled = settle(changes, self._heads, now)
        namespace = self._store.namespace
        if settled.deletes:
            self._connection.execute(records.delete().where(*_OF_KEYS), {"ns": namespace, "keys": settled.deletes})
        if settled.updates:
            self._writer.update(self._connection, namespace, settled.updates, partitions)
        lost = self._inserted(settled.inserts, partitions)
        self._raced |= lost
        written = [
            Written(Verdict.EXISTS) if change.key in lost else answer
            for change, answer in zip(changes, settled.written, strict=True)
        ]
        return Applied(now, tuple(written))

    def _inserted(self, entries: Sequence[Entry], partitions: int) -> set[str]:
        """Insert what is not there; the keys that somebody else was faster with."""
        if not entries:
            return set()
        entries = sorted(entries, key=lambda entry: entry.row.key)
        namespace = self._store.namespace
        rows = [
            {"namespace": namespace, **dict(zip(_COLUMNS, values_of(entry, partitions), strict=True))}
            for entry in entries
        ]
        self._connection.execute(self._insert, rows)
        named = {"ns": namespace, "keys": [entry.row.key for entry in entries]}
        writers = {row[0]: row[1] for row in self._connection.execute(_WRITERS, named)}
        return {entry.row.key for entry in entries if writers.get(entry.row.key) != entry.row.write_id}

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        """See ``protocol.Store``; without a lock."""
        found = self._connection.execute(page_of(self._store.namespace, query, cursor))
        rows = [Row(*row) for row in found]
        shown, corrupt = rows[: query.limit], list[CorruptRecord]()
        answered = []
        for row in shown:
            try:
                answered.append(decode(row))
            except CorruptRecord as error:
                corrupt.append(error)
        more = shown[-1].key if len(rows) > query.limit else None
        return Page(now=self.now(), records=tuple(answered), cursor=more, corrupt=tuple(corrupt))

    def now(self) -> Instant:
        if self._clock_query is None:
            return self._clock.now()
        return Instant(int(self._connection.scalar(select(self._clock_query))))  # type: ignore[arg-type]

    def prepare(self, founding: Founding | None) -> Meta:
        raise NotImplementedError("a transaction of the caller's founds nothing")

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        raise NotImplementedError("a transaction of the caller's claims nothing")

    def close(self) -> None:
        """The connection is the caller's."""


def connection_of(given: object) -> Connection | None:
    """The connection of a SQLAlchemy connection or session; None for anything else."""
    if isinstance(given, Connection):
        return given
    from sqlalchemy.orm import Session, scoped_session

    if isinstance(given, (Session, scoped_session)):
        return given.connection()
    return None


def _quiet_insert(dialect: str) -> Any:
    """An INSERT that leaves alone what is there, and is no error then."""
    if dialect == "postgresql":
        return postgresql.insert(records).on_conflict_do_nothing()
    if dialect == "sqlite":
        return sqlite.insert(records).on_conflict_do_nothing()
    statement = mysql.insert(records)
    return statement.on_duplicate_key_update({"lane": records.c.lane})

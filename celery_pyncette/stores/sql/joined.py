"""The store inside a transaction of the caller's: what is written there is there if and when that commits.

Rows are read under a lock (``FOR UPDATE``), so that a decision holds until the caller commits, also where the
transaction reads from a snapshot. A row that another transaction inserts meanwhile is waited for and then told as
EXISTS, without an error that would end the caller's transaction. Nothing is committed, rolled back or repeated here,
and errors of the database are the caller's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
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
from celery_pyncette.stores.rows import Entry, Head, check_key, check_siblings, keys_of, settle
from celery_pyncette.stores.sql.claims import claims_of
from celery_pyncette.stores.sql.notifying import JoinedWakeUps
from celery_pyncette.stores.sql.scanning import page_of
from celery_pyncette.stores.sql.session import Session
from celery_pyncette.stores.sql.store import SqlStore
from celery_pyncette.stores.sql.tables import ROW, records
from celery_pyncette.stores.sql.writing import named_values

#: Rows of one INSERT: a database takes only so many parameters in a statement.
_AT_ONCE = 500
_HEAD = (records.c.key, records.c.generation, records.c.version, records.c.write_id)


class JoinedStore:
    """See ``protocol.Store``; of its methods those that a client call needs.

    Each statement carries its values, so that it can be executed by whoever has the transaction.

    :param store: the store that is joined; its connections are not used.
    :param session: in a transaction, or about to begin one.
    :param locking: whether what is read stays locked; else that begins when it is written.
    :raises WrongDatabase: unless the session leads to the database of ``store``.
    """

    def __init__(self, store: SqlStore, session: Session, meta: Meta, *, locking: bool = True) -> None:
        self._store, self._session, self._locking = store, session, locking
        self._insert = _quiet_insert(session.dialect)
        self._clock = SystemClock()
        self._clock_query = claims_of(session.dialect, self._clock).clock
        self._raced: set[str] = set()
        """Rows that a snapshot of the transaction may not show as they are: only a locked read does."""
        self.wake_ups = JoinedWakeUps(session, store.namespace) if session.dialect == "postgresql" else None
        self._check(meta)

    def _check(self, meta: Meta) -> None:
        shown = self._store.shown
        if not self._session.has_table(records.name):
            raise WrongDatabase(f"the connection's database has no table {records.name}; the store is {shown}")
        here = read_meta(self)
        if here is None or here.store_id != meta.store_id:
            found = "no such namespace" if here is None else f"the store {here.store_id}"
            raise WrongDatabase(f"the connection's database has {found}; the store is {shown}, {meta.store_id}")

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        """See ``protocol.Store``; if ``locking``, what is there stays locked; an absent key, and so a gap, does not."""
        for key in keys:
            check_key(key)
        if tuple(keys) == (META,) or not (self._locking or self._raced.intersection(keys)):
            found = self._session.execute(self._those(select(*ROW), keys))
        else:
            there = self._present(keys)
            found = self._session.execute(self._locked(select(*ROW), there)) if there else ()
        rows = {row[0]: Row(*row) for row in found}
        return Fetched(self.now(), tuple(decode(rows[key]) if key in rows else None for key in keys))

    def _present(self, keys: Sequence[str]) -> set[str]:
        seen = {row[0] for row in self._session.execute(self._those(select(records.c.key), keys))}
        return seen | (self._raced & set(keys))

    def _those(self, statement: Any, keys: Sequence[str] | set[str]) -> Any:
        return statement.where(records.c.namespace == self._store.namespace, records.c.key.in_(sorted(set(keys))))

    def _locked(self, statement: Any, keys: Sequence[str] | set[str]) -> Any:
        return self._those(statement, keys).order_by(records.c.key).with_for_update()

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        """See ``protocol.Store``."""
        partitions, namespace = self._store.partitions, self._store.namespace
        check_siblings(changes, partitions)
        now = Instant(max(self.now(), seen))
        there = self._present(keys_of(changes))
        found = self._session.execute(self._locked(select(*_HEAD), there)) if there else ()
        settled = settle(changes, {row[0]: Head(*row[1:]) for row in found}, now)
        if settled.deletes:
            self._session.execute(self._those(records.delete(), settled.deletes))
        for entry in settled.updates:
            values = named_values(namespace, entry, partitions)
            self._session.execute(self._those(records.update(), [entry.row.key]).values(values))
        lost = self._inserted(settled.inserts)
        stale = {c.key for c, w in zip(changes, settled.written, strict=True) if w.verdict is Verdict.STALE}
        self._raced |= lost | stale
        written = [
            Written(Verdict.EXISTS) if change.key in lost else answer
            for change, answer in zip(changes, settled.written, strict=True)
        ]
        return Applied(now, tuple(written))

    def _inserted(self, entries: Sequence[Entry]) -> set[str]:
        """Insert what is not there; the keys that somebody else was faster with."""
        if not entries:
            return set()
        entries = sorted(entries, key=lambda entry: entry.row.key)
        partitions, namespace = self._store.partitions, self._store.namespace
        rows = [named_values(namespace, entry, partitions) for entry in entries]
        for start in range(0, len(rows), _AT_ONCE):
            self._session.execute(self._insert.values(rows[start : start + _AT_ONCE]))
        keys = [entry.row.key for entry in entries]
        found = self._session.execute(self._locked(select(records.c.key, records.c.write_id), keys))
        writers = {row[0]: row[1] for row in found}
        return {entry.row.key for entry in entries if writers.get(entry.row.key) != entry.row.write_id}

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        """See ``protocol.Store``; without a lock."""
        found = self._session.execute(page_of(self._store.namespace, query, cursor))
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
        [row] = self._session.execute(select(self._clock_query))
        return Instant(int(row[0]))

    def prepare(self, founding: Founding | None) -> Meta:
        raise NotImplementedError("a transaction of the caller's founds nothing")

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        raise NotImplementedError("a transaction of the caller's claims nothing")

    def close(self) -> None:
        """The connection is the caller's."""


def _quiet_insert(dialect: str) -> Any:
    """An INSERT that leaves alone what is there, and is no error then."""
    if dialect == "postgresql":
        return postgresql.insert(records).on_conflict_do_nothing()
    if dialect == "sqlite":
        return sqlite.insert(records).on_conflict_do_nothing()
    statement = mysql.insert(records)
    return statement.on_duplicate_key_update({"lane": records.c.lane})

"""Writing a batch at once, once per database.

Each writer has ``insert`` and ``update``, over rows that the caller knows to be absent, or holds locked, and ``create``
for one row of which nothing is known: most calls of clients make one record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects import mysql

from celery_pyncette.core.partitions import partition_of
from celery_pyncette.stores.rows import Entry
from celery_pyncette.stores.sql.connections import lock_timeout
from celery_pyncette.stores.sql.tables import records

_NAMES = tuple(column.name for column in records.columns if column.name != "namespace")
_WRITTEN = tuple(name for name in _NAMES if name != "key")


class Writer(Protocol):
    """Writes rows of one namespace."""

    def insert(self, connection: Connection, namespace: str, entries: Sequence[Entry], partitions: int) -> None: ...

    def update(self, connection: Connection, namespace: str, entries: Sequence[Entry], partitions: int) -> None: ...

    def create(self, connection: Connection, namespace: str, entry: Entry, partitions: int) -> bool:
        """Write a row outside a transaction, in one statement; False, and nothing written, if there is one.

        :raises DBAPIError: also such a one that ``is_race`` knows, if there may be one.
        """
        ...


def values_of(entry: Entry, partitions: int) -> tuple[Any, ...]:
    """The columns of a row but for its namespace, in the order of the table."""
    row, facets = entry.row, entry.facets
    return (
        row.key,
        row.lane,
        partition_of(row.key, partitions),
        row.ready_at,
        row.generation,
        row.version,
        row.token,
        row.write_id,
        row.owner,
        row.until,
        facets.origin,
        facets.task,
        facets.name,
        facets.paused,
        facets.running,
        facets.dead,
        row.document,
        row.body,
    )


def named_values(namespace: str, entry: Entry, partitions: int) -> dict[str, Any]:
    """All columns of a row by their names."""
    return {"namespace": namespace, **dict(zip(_NAMES, values_of(entry, partitions), strict=True))}


def _types() -> dict[str, str]:
    kinds = {"SmallInteger": "smallint", "BigInteger": "bigint", "Boolean": "boolean", "LargeBinary": "bytea"}
    return {column.name: kinds.get(type(column.type).__name__, "text") for column in records.columns}


#: Between documents, which have no control characters. In an array each of their many quotes would be escaped.
_BETWEEN = "\x1e"
# Args:   namespace, one array per column, and all documents as one text.
# Cost:   one round trip; per row the row and its index entries.
_PG_ARRAYS = ", ".join(
    "string_to_array(CAST(:document AS text), chr(30))"
    if name == "document"
    else f"CAST(:{name} AS {_types()[name]}[])"
    for name in _NAMES
)
_PG_INSERT = f"""
INSERT INTO pyncette_records (namespace, {", ".join(_NAMES)})
SELECT :namespace, new.* FROM unnest({_PG_ARRAYS}) AS new({", ".join(_NAMES)})
"""  # noqa: S608 - the names are this module's own
_PG_UPDATE = f"""
UPDATE pyncette_records r SET {", ".join(f"{name} = new.{name}" for name in _WRITTEN)}
FROM unnest({_PG_ARRAYS}) AS new({", ".join(_NAMES)})
WHERE r.namespace = :namespace AND r.key = new.key
"""  # noqa: S608


# Args:   namespace, one value per column, and how long to wait for another's insert of the same key, in milliseconds:
#         longer than its caller waits, it would be written after that one has heard of a failure.
# Cost:   one round trip, its own transaction.
_PG_CREATE = f"""
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', :patience, true) AS lock_timeout)
INSERT INTO pyncette_records (namespace, {", ".join(_NAMES)})
SELECT :namespace, {", ".join(f"CAST(:{name} AS {_types()[name]})" for name in _NAMES)}
FROM patience WHERE patience.lock_timeout IS NOT NULL
ON CONFLICT DO NOTHING
"""  # noqa: S608


class ArrayWriter:
    """PostgreSQL: one statement whose arguments are columns."""

    _insert = text(_PG_INSERT)
    _update = text(_PG_UPDATE)
    _create = text(_PG_CREATE)

    def __init__(self, timeout: float) -> None:
        self._patience = str(lock_timeout(timeout))

    def create(self, connection: Connection, namespace: str, entry: Entry, partitions: int) -> bool:
        values = {"patience": self._patience, **named_values(namespace, entry, partitions)}
        return connection.execute(self._create, values).rowcount == 1

    def insert(self, connection: Connection, namespace: str, entries: Sequence[Entry], partitions: int) -> None:
        connection.execute(self._insert, self._columns(namespace, entries, partitions))

    def update(self, connection: Connection, namespace: str, entries: Sequence[Entry], partitions: int) -> None:
        connection.execute(self._update, self._columns(namespace, entries, partitions))

    @staticmethod
    def _columns(namespace: str, entries: Sequence[Entry], partitions: int) -> dict[str, Any]:
        columns = zip(*(values_of(entry, partitions) for entry in entries), strict=True)
        named: dict[str, Any] = dict(zip(_NAMES, map(list, columns), strict=True))
        return named | {"namespace": namespace, "document": _BETWEEN.join(named["document"])}


class RowWriter:
    """MySQL and SQLite: one statement for many rows.

    PyMySQL puts the rows of an INSERT into one message, those of an UPDATE into one each: so a row that is there
    is written by INSERT ... ON DUPLICATE KEY UPDATE. SQLite runs in this process.
    """

    def __init__(self, dialect: str) -> None:
        self._insert: Any = records.insert()
        self._update: Any
        if dialect == "mysql":
            statement = mysql.insert(records)
            self._update = statement.on_duplicate_key_update({name: statement.inserted[name] for name in _WRITTEN})
        else:
            self._update = (
                records.update()
                .where(records.c.namespace == bindparam("b_namespace"), records.c.key == bindparam("b_key"))
                .values({name: bindparam(name) for name in _WRITTEN})
            )
        self._match = dialect != "mysql"

    def create(self, connection: Connection, namespace: str, entry: Entry, partitions: int) -> bool:
        self.insert(connection, namespace, [entry], partitions)
        return True

    def insert(self, connection: Connection, namespace: str, entries: Sequence[Entry], partitions: int) -> None:
        connection.execute(self._insert, [named_values(namespace, entry, partitions) for entry in entries])

    def update(self, connection: Connection, namespace: str, entries: Sequence[Entry], partitions: int) -> None:
        rows = [named_values(namespace, entry, partitions) for entry in entries]
        if self._match:
            for row in rows:
                row["b_namespace"], row["b_key"] = row.pop("namespace"), row.pop("key")
        connection.execute(self._update, rows)


def writer_of(dialect: str, timeout: float) -> Writer:
    """The writer by its SQLAlchemy name. ``timeout``: seconds that a call waits for the database."""
    return ArrayWriter(timeout) if dialect == "postgresql" else RowWriter(dialect)

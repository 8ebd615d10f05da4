"""The two tables.

``pyncette_records`` holds one row per record. Cost of a write: the primary key, the ready index, and
(not for parked messages, where the database has partial indexes) the name index.

Text is compared by its bytes: ``COLLATE "C"`` on PostgreSQL, ``VARBINARY`` on MySQL and MariaDB, SQLite's own order.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from celery_pyncette.stores.rows import LONGEST


class Bytewise(TypeDecorator[str]):
    """Text of at most ``length`` bytes, distinct and sorted by its bytes."""

    impl = Text
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TEXT(collation="C"))
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.VARBINARY(self.length))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return value.encode() if value is not None and dialect.name == "mysql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode() if isinstance(value, bytes) else value


_DOCUMENT = Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql")
_BODY = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")

metadata = MetaData()

records = Table(
    "pyncette_records",
    metadata,
    Column("namespace", Bytewise(255), nullable=False),
    Column("key", Bytewise(LONGEST), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("ready_at", BigInteger, nullable=False),
    Column("generation", Bytewise(64), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("write_id", Bytewise(64), nullable=False),
    Column("lease_owner", Bytewise(LONGEST), nullable=True),
    Column("lease_until", BigInteger, nullable=False),
    Column("origin", Bytewise(16), nullable=False),
    Column("task", Bytewise(LONGEST), nullable=False),
    Column("name", Bytewise(LONGEST), nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("running", Boolean, nullable=False),
    Column("dead", Boolean, nullable=False),
    Column("document", _DOCUMENT, nullable=False),
    Column("body", _BODY, nullable=True),
    PrimaryKeyConstraint("namespace", "key", name="pyncette_records_pkey"),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
    # Every claim leaves dead index entries at the oldest end: have them cleaned early.
    postgresql_with={"fillfactor": 85, "autovacuum_vacuum_scale_factor": 0.02, "autovacuum_vacuum_cost_delay": 0},
)

READY = Index("pyncette_records_ready", records.c.namespace, records.c.lane, records.c.ready_at)

#: The condition of the name index; a scan for which it holds repeats it literally.
LISTED = text("origin <> 'delayed'")

NAMES = Index(
    "pyncette_records_names",
    records.c.namespace,
    records.c.name,
    postgresql_where=LISTED,
    sqlite_where=LISTED,
)

schema = Table(
    "pyncette_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    mysql_engine="InnoDB",
)

#: What is read to make a ``codec.Row``, in its order.
ROW = (
    records.c.key,
    records.c.lane,
    records.c.generation,
    records.c.version,
    records.c.token,
    records.c.write_id,
    records.c.lease_owner,
    records.c.lease_until,
    records.c.ready_at,
    records.c.document,
    records.c.body,
)

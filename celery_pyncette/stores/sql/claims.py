"""Taking ready records, once per database: the one statement that has to be fast.

Each class answers ``take(connection, namespace, request, partitions)`` with a :class:`Taken`, and knows its
database's clock. ``partitions`` is None for all of them.

Once a batch was not cut by its limit, what is ready and not in it is in another's hands at this moment:
then ``next_ready_at`` is the first time after now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection, and_, bindparam, func, literal_column, select, text
from sqlalchemy.sql.elements import BindParameter, ColumnElement

from celery_pyncette.clock import Clock
from celery_pyncette.core.codec import Row
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import META
from celery_pyncette.stores.protocol import ClaimRequest
from celery_pyncette.stores.sql.connections import transaction
from celery_pyncette.stores.sql.tables import ROW, records


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows as they are stored now, those that were ready first first."""

    now: Instant
    rows: Sequence[Row]
    next_ready_at: Instant
    meta: bool


class Claims(Protocol):
    """The dialect of a database."""

    #: The database's clock in milliseconds, as an expression; None where the host's is asked.
    clock: ColumnElement[Any] | None

    def take(
        self, connection: Connection, namespace: str, request: ClaimRequest, partitions: tuple[int, ...] | None
    ) -> Taken: ...


_PG_CLOCK = "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)"

# Keys:    rows of one namespace and lane (and partitions), found by pyncette_records_ready.
# Args:    namespace, lane, seen, limit, owner, lease_ms, meta, partitions.
# Result:  at least one row: now, next_ready_at (or NULL), meta, ready_at as it was (NULL in the row of an
#          empty batch), then the columns of ROW.
# Cost:    one round trip, its own transaction. Idle: one descent of the index and two probes. A batch: per record
#          one index entry read, one row locked (none waited for), one row written.
# The clock is a scalar subquery: as a volatile call in WHERE it would be asked per row, for the whole index.
_PG_CLAIM = f"""
WITH clock AS (SELECT greatest(CAST(:seen AS bigint), {_PG_CLOCK}) AS now),
due AS (
  SELECT key, ready_at FROM pyncette_records
  WHERE namespace = :namespace AND lane = :lane AND ready_at <= (SELECT now FROM clock) /*part*/
  ORDER BY ready_at LIMIT :limit FOR UPDATE SKIP LOCKED),
claimed AS (
  UPDATE pyncette_records r
  SET version = r.version + 1, token = greatest(r.token + 1, clock.now), lease_owner = :owner,
      lease_until = clock.now + :lease_ms, ready_at = clock.now + :lease_ms
  FROM due, clock WHERE r.namespace = :namespace AND r.key = due.key
  RETURNING due.ready_at AS was, {", ".join(f"r.{column.name}" for column in ROW)})
SELECT (SELECT now FROM clock),
  CASE WHEN (SELECT count(*) FROM due) < :limit
  THEN (SELECT ready_at FROM pyncette_records
        WHERE namespace = :namespace AND lane = :lane AND ready_at > (SELECT now FROM clock) /*part*/
        ORDER BY ready_at LIMIT 1)
  ELSE (SELECT ready_at FROM pyncette_records
        WHERE namespace = :namespace AND lane = :lane AND key NOT IN (SELECT key FROM due) /*part*/
        ORDER BY ready_at LIMIT 1) END,
  EXISTS (SELECT 1 FROM pyncette_records WHERE namespace = :namespace AND key = :meta),
  claimed.*
FROM (SELECT 1) AS one LEFT JOIN claimed ON true
"""  # noqa: S608 - the names are this package's own


class PostgresqlClaims:
    """One statement."""

    clock: ColumnElement[Any] | None = literal_column(f"(SELECT {_PG_CLOCK})")
    everything = text(_PG_CLAIM.replace("/*part*/", ""))
    some = text(_PG_CLAIM.replace("/*part*/", "AND part = ANY(CAST(:partitions AS smallint[]))"))

    def take(
        self, connection: Connection, namespace: str, request: ClaimRequest, partitions: tuple[int, ...] | None
    ) -> Taken:
        arguments = {
            "namespace": namespace,
            "lane": int(request.lane),
            "seen": request.seen,
            "limit": request.limit,
            "owner": request.owner,
            "lease_ms": request.lease_ms,
            "meta": META,
        }
        if partitions is None:
            found = connection.execute(self.everything, arguments).all()
        else:
            found = connection.execute(self.some, {**arguments, "partitions": list(partitions)}).all()
        now, next_ready_at, meta = found[0][:3]
        taken = sorted((row for row in found if row[3] is not None), key=lambda row: (row[3], row[4]))
        left = NEVER if next_ready_at is None else Instant(next_ready_at)
        return Taken(Instant(now), [Row(*row[4:]) for row in taken], left, meta)


_MEMBER: BindParameter[Any] = bindparam("keys", expanding=True)
_OWN = records.c.namespace == bindparam("ns")
_LANE = and_(_OWN, records.c.lane == bindparam("lane"))
_PART = records.c.part.in_(bindparam("partitions", expanding=True))
_FIRST = select(func.min(records.c.ready_at)).where(_LANE)
_FIRST_LATER = _FIRST.where(records.c.ready_at > bindparam("now"))
_META = select(records.c.key).where(_OWN, records.c.key == META).exists()
_DUE = select(*ROW).where(_LANE, records.c.ready_at <= bindparam("now"))
_DUE_FIRST = (records.c.ready_at, records.c.key)


class SteppedClaims:
    """Look, then lock what is due, write it, look again: MySQL, MariaDB and SQLite.

    Cost: one round trip when nothing is due; else six (SQLite: in this process), none of which waits for
    another claim on MySQL; on SQLite there is one writer at a time.
    """

    def __init__(self, clock: ColumnElement[Any] | None, host: Clock | None, greatest: str) -> None:
        self.clock = clock
        self._host = host
        self._greatest = getattr(func, greatest)

    def take(
        self, connection: Connection, namespace: str, request: ClaimRequest, partitions: tuple[int, ...] | None
    ) -> Taken:
        arguments: dict[str, Any] = {"ns": namespace, "lane": int(request.lane)}
        part = () if partitions is None else (_PART,)
        if partitions is not None:
            arguments["partitions"] = partitions
        now, first, meta = self._look(connection, _FIRST.where(*part), arguments, request.seen)
        if first is None or first > now or request.limit < 1:
            return Taken(now, (), NEVER if first is None else Instant(first), meta)
        with transaction(connection):
            rows = self._lock_and_write(connection, arguments, part, request, now)
            last = _FIRST if len(rows) == request.limit else _FIRST_LATER
            _, first, meta = self._look(connection, last.where(*part), {**arguments, "now": now}, now)
        return Taken(now, rows, NEVER if first is None else Instant(first), meta)

    def _look(
        self, connection: Connection, first: Any, arguments: dict[str, Any], seen: int
    ) -> tuple[Instant, Any, bool]:
        clock = literal_column("0") if self.clock is None else self.clock
        now, ready_at, meta = connection.execute(select(clock, first.scalar_subquery(), _META), arguments).one()
        host = 0 if self._host is None else self._host.now()
        return Instant(max(int(now), host, seen)), ready_at, bool(meta)

    def _lock_and_write(
        self, connection: Connection, arguments: dict[str, Any], part: Any, request: ClaimRequest, now: Instant
    ) -> list[Row]:
        due = _DUE.where(*part).order_by(*_DUE_FIRST).limit(request.limit).with_for_update(skip_locked=True)
        found = [Row(*row) for row in connection.execute(due, {**arguments, "now": now})]
        if not found:
            return []
        until = now + request.lease_ms
        token = self._greatest(records.c.token + 1, now)
        connection.execute(
            records.update()
            .where(_OWN, records.c.key.in_(_MEMBER))
            .values(
                version=records.c.version + 1,
                token=token,
                lease_owner=request.owner,
                lease_until=until,
                ready_at=until,
            ),
            {"ns": arguments["ns"], "keys": [row.key for row in found]},
        )
        return [
            replace(
                row,
                version=row.version + 1,
                token=max(row.token + 1, now),
                owner=request.owner,
                until=until,
                ready_at=until,
            )
            for row in found
        ]


_MYSQL_CLOCK = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)"


def claims_of(dialect: str, clock: Clock) -> Claims:
    """The dialect by its SQLAlchemy name. ``clock`` is asked only where the database has none of its own: SQLite."""
    if dialect == "postgresql":
        return PostgresqlClaims()
    if dialect == "mysql":
        return SteppedClaims(literal_column(_MYSQL_CLOCK), None, "greatest")
    return SteppedClaims(None, clock, "max")

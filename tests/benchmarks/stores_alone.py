"""A store that nobody else uses, and how large it is."""

from __future__ import annotations

from sqlalchemy import create_engine, text

from celery_pyncette.stores.sql.address import sql_url


class RedisAlone:
    """A server of our own."""

    def __init__(self, url: str) -> None:
        import redis

        self.url = url
        self._client = redis.Redis.from_url(url)

    def size(self) -> float:
        """Bytes of memory."""
        return float(self._client.info("memory")["used_memory"])


class PostgresAlone:
    """A database of our own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_engine(sql_url(url), isolation_level="AUTOCOMMIT")

    def size(self) -> float:
        """Bytes of the table of records, its indexes included."""
        statement = "SELECT coalesce(pg_total_relation_size(to_regclass('pyncette_records')), 0)"
        with self._engine.connect() as connection:
            return float(connection.execute(text(statement)).scalar_one())

"""LISTEN on PostgreSQL, over a connection that does nothing else."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import psycopg

from celery_pyncette.core.errors import StoreRefused, StoreUnavailable
from celery_pyncette.stores.sql.notifying import channel_of


class PostgresqlListener:
    """See ``protocol.Listener``.

    :param connect: makes a connection of the driver's whose waits end.
    :raises StoreRefused: behind a pooler, which would lend the connection to others.
    """

    def __init__(self, connect: Callable[[], Any], namespace: str, shown: str) -> None:
        self._shown = shown
        self._heard = False
        try:
            self._raw = connect()
        except psycopg.Error as error:
            raise StoreUnavailable(f"{shown}: {error}") from error
        try:
            self._raw.autocommit = True
            self._raw.add_notify_handler(self._hear)
            if self._ask("SELECT pg_backend_pid()") != self._raw.info.backend_pid:
                raise StoreRefused(f"{shown}: a pooler stands between, and LISTEN needs a connection of its own")
            self._ask(f"LISTEN {channel_of(namespace)}")
        except BaseException:
            self.close()
            raise

    def _hear(self, notification: Any) -> None:
        del notification
        self._heard = True

    def _ask(self, statement: str) -> Any:
        try:
            cursor = self._raw.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self._shown}: {error}") from error

    def wait(self, seconds: float) -> bool:
        if not self._heard:
            poll = select.poll()
            poll.register(self._raw.fileno(), select.POLLIN)
            poll.poll(seconds * 1000)
            # The driver hands over what came before the answer; and a server that is gone says nothing by itself.
            self._ask("SELECT 1")
        heard, self._heard = self._heard, False
        return heard

    def close(self) -> None:
        self._raw.close()

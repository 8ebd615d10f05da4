"""psycopg connections whose every wait ends."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import psycopg
import psycopg.waiting
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL

from celery_pyncette.clock import SystemClock

_INTERVAL = 0.1


def connector(url: URL, timeout: float) -> Callable[[], Any]:
    """Makes connections that give up after ``timeout`` seconds without an answer, and prepare no statements.

    The server's own limits (``statement_timeout``) do not help against one that is frozen or cut off.
    """
    clock = SystemClock()

    class Timed(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            kwargs.setdefault("interval", _INTERVAL)
            bounded = _until(gen, self, clock.monotonic() + timeout)
            try:
                return psycopg.waiting.wait(bounded, self.pgconn.socket, *args, **kwargs)
            except (KeyboardInterrupt, SystemExit):
                # psycopg would ask the server to cancel, and wait for that: 5 s too many for a process that ends.
                self.pgconn.finish()
                raise

    def _until(gen: Any, connection: Any, end: float) -> Generator[Any, Any, Any]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and clock.monotonic() > end:
                    connection.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {timeout:g} s")
                wanted = gen.send(ready)
        except StopIteration as stop:
            return stop.value

    _, options = PGDialect_psycopg().create_connect_args(url)  # type: ignore[no-untyped-call]
    options.setdefault("connect_timeout", max(2, round(timeout)))
    options.setdefault("application_name", "pyncette")
    return lambda: Timed.connect(**options, prepare_threshold=None)

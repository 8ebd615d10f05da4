"""Whether the broker can be reached, within seconds, and without its password in any text."""

from __future__ import annotations

import contextlib
from typing import Any

from celery_pyncette.cli.findings import Finding, ok, problem
from celery_pyncette.clock import Clock

_SECONDS = 3
_OPTIONS: dict[str, dict[str, Any]] = {
    "amqp": {"read_timeout": _SECONDS, "write_timeout": _SECONDS},
    "redis": {"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS},
}


def broker(app: Any, clock: Clock) -> Finding:
    """Connect once, as a beat would."""
    asked = clock.monotonic()
    connection: Any = None
    try:
        connection = app.connection_for_write(connect_timeout=_SECONDS)
        options = _OPTIONS.get(connection.get_transport_cls().driver_type, {})
        connection.transport_options = {**connection.transport_options, **options}
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=_SECONDS)
        name = connection.as_uri()
    except Exception as error:  # noqa: BLE001 - each transport has errors of its own
        return problem("broker", f"{_name(connection)} cannot be reached: {_without_secret(error, connection)}")
    finally:
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.collapse(socket_timeout=1)
    took = clock.monotonic() - asked
    return ok("broker", f"{name} answers within {took * 1000:.0f} ms", seconds=round(took, 6))


def _name(connection: Any) -> str:
    try:
        return str(connection.as_uri())
    except Exception:  # noqa: BLE001 - a transport that is not there has no URI either
        return "the broker"


def _without_secret(error: Exception, connection: Any) -> str:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    secret = getattr(connection, "password", None)
    return text.replace(secret, "***") if secret else text

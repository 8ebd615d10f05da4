"""Where a database alias of Django's leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist
from sqlalchemy import URL

from celery_pyncette.core.errors import ConfigurationError

#: What Django takes for itself out of the options of PostgreSQL.
_OWN = {"isolation_level", "pool", "server_side_binding", "assume_role", "cursor_factory", "client_encoding"}


def alias_of(url: str) -> str:
    """The alias in ``django://<alias>``; ``django://`` is ``default``."""
    return url.partition("://")[2].strip("/") or "default"


def connection_of(alias: str) -> Any:
    """Django's connection of this thread. :raises ConfigurationError: for an unknown alias, or without settings."""
    try:
        return connections[alias]
    except (ConnectionDoesNotExist, ImproperlyConfigured) as error:
        raise ConfigurationError(f"pyncette_store_url django://{alias}: {error}") from error


def url_of(alias: str) -> str:
    """The store URL of the same database, with its password. :raises ConfigurationError: if we have no store for it."""
    connection = connection_of(alias)
    settings: Mapping[str, Any] = connection.settings_dict
    options: Mapping[str, Any] = settings.get("OPTIONS") or {}
    host, port = settings.get("HOST") or "", settings.get("PORT") or ""
    if connection.vendor == "sqlite":
        return URL.create("sqlite", database=str(settings["NAME"])).render_as_string(hide_password=False)
    if connection.vendor not in ("postgresql", "mysql"):
        raise ConfigurationError(
            f"pyncette_store_url django://{alias}: that is {connection.vendor}; stores are PostgreSQL, MySQL, SQLite"
        )
    query = _postgresql(options) if connection.vendor == "postgresql" else _mysql(options)
    if host.startswith("/"):
        query["host" if connection.vendor == "postgresql" else "unix_socket"] = host
    return URL.create(
        connection.vendor,
        username=settings.get("USER") or None,
        password=settings.get("PASSWORD") or None,
        host=None if host.startswith("/") else host or None,
        port=int(port) if str(port) else None,
        database=settings.get("NAME") or None,
        query=query,
    ).render_as_string(hide_password=False)


def _postgresql(options: Mapping[str, Any]) -> dict[str, str]:
    query = {name: str(value) for name, value in options.items() if name not in _OWN and isinstance(value, (str, int))}
    if options.get("assume_role"):
        query["options"] = f"{query.get('options', '')} -c role={options['assume_role']}".strip()
    return query


def _mysql(options: Mapping[str, Any]) -> dict[str, str]:
    mode = str(options.get("ssl_mode") or "DISABLED").upper()
    if mode not in ("DISABLED", "PREFERRED") and not options.get("ssl"):
        raise ConfigurationError(
            f"pyncette_store_url django://: the option ssl_mode={mode} cannot be kept by the driver of the store: "
            "say ssl={'ca': ...} in OPTIONS, too, or set a mysql:// URL"
        )
    query = {name: str(options[name]) for name in ("charset", "unix_socket", "read_default_file") if options.get(name)}
    query |= {f"ssl_{name}": str(value) for name, value in (options.get("ssl") or {}).items()}
    return query

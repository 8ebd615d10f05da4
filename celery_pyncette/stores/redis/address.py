"""URLs of Redis and Valkey, read into what the driver wants.

``redis://[user:password@]host:port/db``
    One server; ``rediss://`` with TLS; ``valkey://``, ``valkeys://``.
``unix:///path?db=0``
    A socket; also ``redis+socket:///path?virtual_host=0``.
``sentinel://[user:password@]h1:p1;h2:p2/db?master=name``
    A group behind Sentinel; also ``redis-sentinel://``, ``redis+sentinel://``, with TLS ``rediss+sentinel://``. The
    scheme may stand before each host, as in Celery's broker URLs, and the master as the path's first part or as the
    fragment. User and password are the server's; the Sentinels' own are ``sentinel_username``, ``sentinel_password``.
``redis+cluster://h1:p1,h2:p2``
    A Cluster, from any of its nodes; ``rediss+cluster://`` with TLS.

The query takes redis-py's connection options, for example ``ssl_ca_certs=…``, ``ssl_cert_reqs=none``
(or ``CERT_NONE``), ``max_connections=10``; it cannot turn the driver's own retries on.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, Connection, parse_url
from redis.retry import Retry

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.stores.urls import mask

_parse_url: Callable[[str], dict[str, Any]] = parse_url
_MASTER = ("master", "master_name", "service_name")
_OWN = {*_MASTER, "sentinel_username", "sentinel_password", "virtual_host"}
#: Retries are ``guarded``'s business; replies are read in the older form that every server speaks.
_REFUSED = {"retry", "retry_on_timeout", "retry_on_error", "protocol", "decode_responses", "legacy_responses"}


class Kind(enum.Enum):
    """What stands behind a URL."""

    SERVER = "server"
    """One server, or what looks like one."""
    SENTINEL = "sentinel"
    """Sentinels that know the master's address."""
    CLUSTER = "cluster"
    """Nodes that share the slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to connect and how; ``options`` are keyword arguments of the driver's ``connection`` class."""

    kind: Kind
    connection: type[AbstractConnection]
    options: Mapping[str, Any]
    hosts: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_options: Mapping[str, Any] = field(default_factory=dict)


def read_url(url: str, timeout: float) -> Address:
    """Read a URL; ``timeout`` in seconds bounds each connect and each read.

    :raises ConfigurationError: if it cannot be read; the message masks passwords.
    """
    try:
        return _read(url, timeout)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"store URL {mask(url)}: {error}") from error


def _read(url: str, timeout: float) -> Address:
    scheme, _, rest = url.partition("://")
    words = set(re.split(r"[+-]", scheme.lower()))
    where, _, query = rest.partition("?")
    query, _, fragment = query.partition("#")
    where, _, early = where.partition("#")
    given = _given(query)
    sockets = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    if words & {"unix", "socket"}:
        del sockets["socket_connect_timeout"]
        connection, options = _options(f"unix://{where}", given, sockets)
        return Address(kind=Kind.SERVER, connection=connection, options=options)
    kind = Kind.CLUSTER if "cluster" in words else Kind.SENTINEL if "sentinel" in words else Kind.SERVER
    who, hosts, path = _split(where, kind)
    named = [] if not path or path[0].isdecimal() else [path.pop(0)]
    tls = bool(words & {"rediss", "valkeys"})
    connection, options = _options(
        f"redis{'s' * tls}://{who}{_bracketed(hosts[0])}/{path[0] if path else ''}", given, sockets
    )
    master = [*(given[name] for name in _MASTER if name in given), *named, unquote(fragment or early), ""][0]
    if kind is Kind.SERVER and named:
        raise ValueError("what follows the host is a database number")
    if kind is Kind.SENTINEL and not master:
        raise ValueError("which master? add ?master=<name>")
    if kind is Kind.CLUSTER and options.pop("db", 0) != 0:
        raise ValueError("a Cluster has only database 0")
    sentinel = {name: given[f"sentinel_{name}"] for name in ("username", "password") if f"sentinel_{name}" in given}
    if tls:
        sentinel |= {"ssl": True} | {k: v for k, v in options.items() if k.startswith("ssl_")}
    return Address(
        kind=kind,
        connection=connection,
        options=options,
        hosts=tuple(hosts),
        master=master,
        sentinel_options=sockets | sentinel | _fixed(),
    )


def _given(query: str) -> dict[str, str]:
    """The query's options, those that Celery spells otherwise as redis-py does."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    refused = sorted(_REFUSED & given.keys())
    if refused:
        raise ValueError(f"the option {refused[0]} cannot be set here")
    if "virtual_host" in given:
        given.setdefault("db", given["virtual_host"].strip("/") or "0")
    if given.get("ssl_cert_reqs", "").upper().startswith("CERT_"):
        given["ssl_cert_reqs"] = given["ssl_cert_reqs"][5:].lower()
    return given


def _options(
    base: str, given: Mapping[str, str], sockets: Mapping[str, float]
) -> tuple[type[AbstractConnection], dict[str, Any]]:
    query = urlencode({name: value for name, value in given.items() if name not in _OWN})
    options = _parse_url(f"{base}?{query}")
    connection = options.pop("connection_class", Connection)
    options = {**sockets, "health_check_interval": 30, **options, **_fixed()}
    connection(**{name: value for name, value in options.items() if name != "max_connections"})  # refuses unknown ones
    return connection, options


def _fixed() -> dict[str, Any]:
    return {"retry": Retry(NoBackoff(), 0), "protocol": 2}


def _split(where: str, kind: Kind) -> tuple[str, list[tuple[str, int]], list[str]]:
    """``user:password@`` or nothing, the hosts, the parts of the path."""
    who, hosts, path = "", [], ""
    for part in [where] if kind is Kind.SERVER else re.split(r"[;,]", where):
        credentials, at, host = re.sub(r"^[a-z+-]+://", "", part).rpartition("@")
        if at and not who:
            user, colon, password = credentials.partition(":")
            who = f"{quote(unquote(user), safe='')}{colon}{quote(unquote(password), safe='')}@"
        host, _, tail = host.partition("/")
        path = path or tail
        hosts.append(_host(host, 26379 if kind is Kind.SENTINEL else 6379))
    return who, hosts, [piece for piece in path.split("/") if piece]


def _host(text: str, port: int) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]*)(?::(\d+))?", text)
    if found is None:
        # It may be a piece of a password, so it is not shown.
        raise ValueError("not host:port, or special characters in the password that are not percent-encoded")
    return found[1].strip("[]") or "localhost", int(found[2] or port)


def _bracketed(host: tuple[str, int]) -> str:
    return f"[{host[0]}]:{host[1]}" if ":" in host[0] else f"{host[0]}:{host[1]}"

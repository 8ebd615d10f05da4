"""What the driver raises, as one of ours: the only place that decides whether another try may help.

Unavailable, because it can heal without anybody changing a setting: no connection, a time-out,
loading after a start, a Cluster or Sentinel group in the middle of a failover, a master that became
a replica (``READONLY``), failed snapshots (``MISCONF``), a full memory (``OOM``), too many clients,
another script running (``BUSY``). Refused, because a person must act: authentication, permissions,
certificates, a command or database that is not there, a key of another type.
"""

from __future__ import annotations

import re

from redis import exceptions

from celery_pyncette.core.errors import StoreError, StoreRefused, StoreUnavailable

#: Redis puts the code first; from within a script older servers put it after a dash.
_HEALS = re.compile(
    r"(?:^|-)(?:OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|UNKILLABLE|ASK)\b"
    r"|max number of clients|command not allowed when used memory|write against a read only replica"
)
_REFUSES = re.compile(r"(?:^|-)(?:NOAUTH|WRONGPASS|NOPERM)\b|CERTIFICATE_VERIFY_FAILED|invalid password", re.IGNORECASE)


_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
_LOST = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    OSError,
)
_ROLES = re.compile(r"(?:^|-)(?:READONLY|CLUSTERDOWN|MASTERDOWN)\b|write against a read only replica")


def roles_changed(error: Exception) -> bool:
    """Whether the server that answered is no longer the one to ask."""
    known = (exceptions.ReadOnlyError, exceptions.ClusterError)
    return isinstance(error, known) or _ROLES.search(str(error)) is not None


def translate(error: Exception, store: str) -> StoreError:
    """The error to raise for one of the driver's (or the operating system's); ``store`` is the masked URL."""
    said = " ".join(str(error).split()) or type(error).__name__
    text = f"{store}: {said[:300]}"
    if isinstance(error, _REFUSED) or _REFUSES.search(said):
        return StoreRefused(text)
    if isinstance(error, exceptions.MovedError) or said.startswith("MOVED "):
        return StoreRefused(f"{text}: this is a node of a Cluster; use redis+cluster://")
    return StoreUnavailable(text) if isinstance(error, _LOST) or _HEALS.search(said) else StoreRefused(text)

"""What ``doctor`` wants to know of a server: whether it may drop records, or forget them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_pyncette.core.errors import StoreRefused
from celery_pyncette.stores.redis.session import Session


def warnings(session: Session) -> list[str]:
    """One sentence for each thing that is wrong; each is said once, whatever the number of nodes.

    :raises StoreError: if the server does not answer INFO.
    """
    infos = session.each_server("INFO")
    snapshots = _snapshots(session)
    said = [sentence for info in infos for sentence in _of_one(info, snapshots)]
    return list(dict.fromkeys(said))


def _of_one(info: Mapping[str, Any], snapshots: bool | None) -> list[str]:
    said = []
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        said.append(
            f"maxmemory-policy is {policy}: the server may drop schedules when its memory is full; set it to noeviction"
        )
    if not info.get("aof_enabled"):
        said.append(
            "persistence is off: after a restart dynamic and delayed entries are lost; set appendonly yes"
            if snapshots is False
            else "appendonly is off: a restart loses all since the last snapshot; set appendonly yes"
        )
    if info.get("connected_slaves"):
        said.append(
            "replication is asynchronous: a failover can lose the last writes, and a run may start twice or be lost"
        )
    return said


def _snapshots(session: Session) -> bool | None:
    """Whether every server saves snapshots; None where CONFIG is forbidden."""
    try:
        answers = session.each_server("CONFIG", "GET", "save")
    except StoreRefused:
        return None
    return all(_value(answer) for answer in answers)


def _value(answer: Any) -> str:
    pairs = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    text = next(iter(pairs.values()), "")
    return text.decode() if isinstance(text, bytes) else str(text)

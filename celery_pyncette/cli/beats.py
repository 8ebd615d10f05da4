"""The beats of a namespace, as their presence records tell of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record
from celery_pyncette.words import distance, moment, times

COLUMNS = ("BEAT", "HOST", "PID", "VERSION", "SINCE", "STATE", "CONFIGURATION")
STYLES = {"lives": "green", "gone": "yellow", "the same": "green", "another": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """One beat; ``until`` is the end of its lease. ``same``: whether it defines what this app does; None if unknown."""

    owner: str
    host: str
    pid: int | None
    version: str
    since: Instant
    until: Instant
    lives: bool
    same: bool | None


def beats_of(
    presences: Sequence[Record], manifests: Mapping[str, Mapping[str, str]], ours: Mapping[str, str], now: Instant
) -> list[Beat]:
    """All beats among the presence records, those that live first."""
    found = []
    for record in presences:
        data = record.data or {}
        if data.get("kind") != "beat":
            continue
        until = Instant(0) if record.lease is None else record.lease.until
        names = manifests.get(str(data.get("manifest")))
        pid = data.get("pid")
        beat = Beat(
            owner=record.key.partition(":")[2],
            host=str(data.get("host", "?")),
            pid=pid if isinstance(pid, int) else None,
            version=str(data.get("version", "?")),
            since=record.created_at,
            until=until,
            lives=until > now,
            same=None if names is None else dict(names) == dict(ours),
        )
        found.append(beat)
    return sorted(found, key=lambda beat: (not beat.lives, beat.since, beat.owner))


def cells(beat: Beat, now: Instant) -> tuple[str, ...]:
    """The row of a table, as ``COLUMNS`` says."""
    return (
        beat.owner,
        beat.host,
        "?" if beat.pid is None else str(beat.pid),
        beat.version,
        f"{moment(beat.since)} ({distance(beat.since, now)})",
        "lives" if beat.lives else "gone",
        "?" if beat.same is None else "the same" if beat.same else "another",
    )


def document(beat: Beat) -> dict[str, Any]:
    """As JSON values; the keys are a promise."""
    return {
        "owner": beat.owner,
        "host": beat.host,
        "pid": beat.pid,
        "version": beat.version,
        **times("since", beat.since),
        **times("lease_until", beat.until),
        "lives": beat.lives,
        "same_configuration": beat.same,
    }

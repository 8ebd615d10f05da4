"""Who lives, and who defines what: leased presence and manifest records.

A *presence* says that a beat or a gated worker lives; a *manifest* lists the static entries of a
configuration with their timing fingerprints, and is shared by all beats that have the same one.
Both are leased for ``KEEP_FOR`` and renewed every ``KEEP_EVERY``; a lease that has ended means dead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import EntrySpec, Key, Lane, Lease, Origin, Record, Write
from celery_pyncette.events import NeighboursSeen, Observers
from celery_pyncette.stores.protocol import Change, Query, Store
from celery_pyncette.stores.writes import change_of

KEEP_EVERY = 20_000
KEEP_FOR = 60_000
PRESENCE = "p:"
MANIFEST = "m:manifest:"
#: What ended this long ago is deleted.
_BURY_AFTER = 600_000


def keeping_record(key: str, data: Mapping[str, Any], owner: str, now: Instant) -> Record:
    """A record of the keeping lane, leased by ``owner``."""
    return Record(
        key=Key(key),
        lane=Lane.KEEPING,
        generation=new_id(),
        spec=EntrySpec(name=key.partition(":")[2], task="", origin=Origin.KEEPING),
        created_at=now,
        lease=Lease(owner=owner, until=now),
        data=data,
    )


class Neighbours:
    """Keeps this beat's presence and manifest, and reads those of the others."""

    def __init__(self, store: Store, owner: str, about: Mapping[str, Any], timings: Mapping[str, str]) -> None:
        """:param about: what the presence says; :param timings: static entry name to timing fingerprint."""
        self._store = store
        self._owner = owner
        self._timings = dict(timings)
        self._manifest = MANIFEST + _digest(self._timings)
        self._about = {"kind": "beat", **about, "manifest": self._manifest}
        self._manifests: dict[str, Mapping[str, str]] = {}
        self.present: tuple[Record, ...] = ()

    def defines(self, name: str, timing: str) -> bool:
        """Whether a live manifest, as last read, has the entry with this timing."""
        return any(names.get(name) == timing for names in self._manifests.values())

    def defined(self) -> frozenset[str]:
        """The names of all live manifests, as last read."""
        return frozenset().union(*self._manifests.values())

    def keep(self) -> None:
        """Renew what is ours, read what is theirs, delete what ended long ago."""
        keys = [Key(PRESENCE + self._owner), Key(self._manifest)]
        fetched = self._store.fetch(keys)
        data: list[Mapping[str, Any]] = [self._about, {"names": self._timings}]
        self._store.apply(
            [
                _renewal(key, before, said, self._owner, fetched.now)
                for key, before, said in zip(keys, fetched.records, data, strict=True)
            ]
        )
        self.read()

    def read(self) -> None:
        """Read who lives and what they define."""
        self.present = tuple(self._live(PRESENCE))
        self._manifests = {record.key: dict((record.data or {}).get("names", {})) for record in self._live(MANIFEST)}

    def _live(self, prefix: str) -> list[Record]:
        live, ended = [], []
        cursor: str | None = None
        while True:
            page = self._store.scan(Query(prefix=prefix), cursor)
            for record in page.records:
                until = 0 if record.lease is None else record.lease.until
                if until > page.now:
                    live.append(record)
                elif until + _BURY_AFTER < page.now:
                    ended.append(change_of(record.key, record, Write(record=None)))
            cursor = page.cursor
            if cursor is None:
                break
        if ended:
            self._store.apply(ended)
        return live


def meet(neighbours: Neighbours, observers: Observers) -> None:
    """Keep what is ours, and tell who else lives."""
    neighbours.keep()
    kinds = [(record.data or {}).get("kind") for record in neighbours.present]
    observers.see(NeighboursSeen(beats=kinds.count("beat"), workers=kinds.count("worker")))


def _renewal(key: Key, before: Record | None, data: Mapping[str, Any], owner: str, now: Instant) -> Change:
    if before is None:
        after = keeping_record(key, data, owner, now)
    else:
        after = replace(before, data=data, lease=Lease(owner=owner, until=now))
    return change_of(key, before, Write(record=after, lease_for=KEEP_FOR))


def _digest(timings: Mapping[str, str]) -> str:
    said = json.dumps(sorted(timings.items()), ensure_ascii=False)
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

"""Records in Redis or Valkey; every decision is taken inside two scripts, by the server's clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import SchemaMismatch
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.partitions import META, partition_of
from celery_pyncette.core.records import Key, Lane
from celery_pyncette.stores.founding import found, read_meta
from celery_pyncette.stores.protocol import (
    Applied,
    Change,
    ClaimBatch,
    ClaimRequest,
    Fetched,
    Founding,
    Meta,
    Page,
    Query,
    Verdict,
    Written,
)
from celery_pyncette.stores.redis import fields, server
from celery_pyncette.stores.redis.address import Kind, read_url
from celery_pyncette.stores.redis.claiming import Claiming
from celery_pyncette.stores.redis.commands import Command
from celery_pyncette.stores.redis.keys import PartitionKeys
from celery_pyncette.stores.redis.link import link_to
from celery_pyncette.stores.redis.scanning import Scanning
from celery_pyncette.stores.redis.scripts import APPLY, CLAIM
from celery_pyncette.stores.redis.session import Session
from celery_pyncette.stores.redis.waking import RedisWakeUps
from celery_pyncette.stores.rows import check_siblings
from celery_pyncette.stores.urls import mask

#: What one call of a script may hold, so that no other client waits long.
CHANGES_PER_CALL = 500
BYTES_PER_CALL = 4_000_000

#: Kinds of keys that are in partition 0 whatever the number of partitions.
_IN_FIRST = ("m:", "p:")
_VERDICTS = {b"1": Verdict.APPLIED, b"2": Verdict.STALE, b"3": Verdict.MISSING, b"4": Verdict.EXISTS}


class RedisStore:
    """See ``protocol.Store``, and ``address.py`` for the URLs.

    ``fetch`` and ``apply`` are one round trip, on a Cluster one per node. So is ``claim`` of one
    partition; of several it looks first which of all are the oldest, and claims them if there are
    any. Each node of a Cluster has its own clock; ``now`` is the latest of those that were asked.

    :param timeout: seconds for each connect and each read. Nothing is repeated here (``guarded`` does).
    :param clock: not used: leases live on the server's clock.
    """

    def __init__(self, url: str, namespace: str, *, timeout: float, clock: Clock | None = None) -> None:
        address = read_url(url, timeout)
        self.url = mask(url)
        self.namespace = namespace
        self._session = Session(link_to(address), self.url)
        self.wake_ups = RedisWakeUps(self._session, url, PartitionKeys(namespace, 0).wake, timeout)
        self._default_partitions = 16 if address.kind is Kind.CLUSTER else 1
        self._partitions: int | None = None
        self._keys: dict[int, PartitionKeys] = {}

    @property
    def partitions(self) -> int:
        """The namespace's number of partitions; read once. :raises SchemaMismatch: if it was never founded."""
        if self._partitions is None:
            meta = read_meta(self)
            if meta is None:
                raise SchemaMismatch(f"{self.url} has no namespace {self.namespace!r}: start a beat, it creates it")
            self._partitions = meta.partitions
        return self._partitions

    def __repr__(self) -> str:
        return f"RedisStore({self.url!r}, {self.namespace!r})"

    def prepare(self, founding: Founding | None) -> Meta:
        meta = found(self, founding, self._default_partitions)
        self._partitions = meta.partitions
        return meta

    def close(self) -> None:
        """Let go of the connections: no I/O, no lock; safe in a signal handler."""
        self._session.close()

    def now(self) -> Instant:
        return fields.instant(self._session.ask([self._time()])[0])

    def check_server(self) -> list[str]:
        """What is wrong with the server for our purpose, one sentence each; for ``doctor``."""
        return server.warnings(self._session)

    def claim(self, request: ClaimRequest) -> ClaimBatch:
        partitions = range(self.partitions) if request.partitions is None else request.partitions

        def ask(counts: Sequence[tuple[int, int]], look: bool) -> list[Any]:
            lease = -1 if look else request.lease_ms
            return self._session.ask([self._claim(request, partition, count, lease) for partition, count in counts])

        claiming = Claiming(request, partitions, ask)
        if 0 not in partitions:
            claiming.meta = bool(self._session.ask([Command(self._meta_key(), ("EXISTS", self._meta_key()))])[0])
        return claiming.batch()

    def _claim(self, request: ClaimRequest, partition: int, count: int, lease_ms: int) -> Command:
        keys = self._of(partition)
        return CLAIM.call(
            [keys.ready[request.lane], keys.index, keys.record(META)],
            [keys.prefix, request.owner, count, lease_ms, request.seen],
        )

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        """See ``protocol.Store``.

        :raises ValueError: for a change that no store could keep; then nothing is written at all.
        """
        if not changes:
            return Applied(max(self.now(), seen), ())
        founding = all(change.key[:2] in _IN_FIRST for change in changes)  # then the number may not be known yet
        check_siblings(changes, 1 if founding else self.partitions)
        chunks = list(self._chunks(changes, seen))
        written: list[Written] = [Written(Verdict.MISSING)] * len(changes)
        now = 0
        for (places, _), answer in zip(chunks, self._session.ask([command for _, command in chunks]), strict=True):
            now = max(now, answer[0])
            said = answer[1].split()
            for place, verdict, version in zip(places, said[::2], said[1::2], strict=True):
                written[place] = Written(_VERDICTS[verdict], int(version))
        return Applied(Instant(now), tuple(written))

    def _chunks(self, changes: Sequence[Change], seen: Instant) -> Iterator[tuple[list[int], Command]]:
        """Calls of the script, each with the places of its changes."""
        by_partition: dict[int, list[int]] = defaultdict(list)
        for place, change in enumerate(changes):
            by_partition[self._partition(change.key)].append(place)
        for partition, places in by_partition.items():
            keys = self._of(partition)
            chunk, names, arguments, size = list[int](), list[str](), list[bytes](), 0
            for place in places:
                change = changes[place]
                more = fields.changed(change)
                bytes_more = sum(map(len, more))
                if chunk and (len(chunk) == CHANGES_PER_CALL or size + bytes_more > BYTES_PER_CALL):
                    yield chunk, _apply(keys, seen, len(chunk), names, arguments)
                    chunk, names, arguments, size = [], [], [], 0
                size += bytes_more
                chunk.append(place)
                names.append(keys.record(change.key))
                names += [keys.record(child.key) for child in change.creates]
                arguments += more
            yield chunk, _apply(keys, seen, len(chunk), names, arguments)

    def fetch(self, keys: Sequence[Key]) -> Fetched:
        names = [self._of(self._partition(key)).record(key) for key in keys]
        reads = [Command(name, ("HMGET", name, *fields.FIELDS)) for name in names]
        now, *rows = self._session.ask([self._time(), *reads])
        return Fetched(fields.instant(now), tuple(fields.read(key, row) for key, row in zip(keys, rows, strict=True)))

    def scan(self, query: Query, cursor: str | None = None) -> Page:
        keys = [self._of(partition) for partition in range(self.partitions)]
        return Scanning(self._session, keys, query).page(cursor)

    def _partition(self, key: Key) -> int:
        return 0 if key[:2] in _IN_FIRST else partition_of(key, self.partitions)

    def _of(self, partition: int) -> PartitionKeys:
        keys = self._keys.get(partition)
        if keys is None:
            keys = self._keys[partition] = PartitionKeys(self.namespace, partition)
        return keys

    def _meta_key(self) -> str:
        return self._of(0).record(META)

    def _time(self) -> Command:
        return Command(self._meta_key(), ("TIME",))


def _apply(keys: PartitionKeys, seen: Instant, count: int, names: Sequence[str], arguments: Sequence[bytes]) -> Command:
    indexes = [keys.index, keys.ready[Lane.ENTRIES], keys.ready[Lane.DELAYED]]
    return APPLY.call([*indexes, *names], [seen, keys.skip, count, *arguments])

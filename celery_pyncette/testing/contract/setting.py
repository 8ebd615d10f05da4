"""What every test of the contract stands on: a store, a namespace of its own, a time of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Lane, Record
from celery_pyncette.stores.protocol import Applied, Change, ClaimBatch, ClaimRequest, Founding, Store, Verdict

DAY = 86_400_000


class Setting:
    """What a subclass provides, and the fixtures made of it."""

    #: Whether another process can open the same place.
    processes = True

    def make_store(self, namespace: str) -> Store:
        """A new store object, not yet prepared, over the place that all objects of this class share."""
        raise NotImplementedError

    def spoil(self, store: Store, key: Key) -> None:
        """Make the stored document of this key unreadable (``{``), behind the store's back."""
        raise NotImplementedError

    @pytest.fixture
    def namespace(self) -> str:
        return f"contract-{new_id()}"

    @pytest.fixture
    def store(self, namespace: str) -> Iterator[Store]:
        made = self.make_store(namespace)
        made.prepare(Founding())
        yield made
        made.close()

    @pytest.fixture
    def later(self, store: Store) -> Instant:
        """A day after the store's now: with ``seen=later`` the time of an answer is known to the millisecond."""
        return Instant(store.now() + DAY)


def claim(
    store: Store,
    seen: int,
    *,
    owner: str = "beat-1",
    lane: Lane = Lane.ENTRIES,
    limit: int = 100,
    lease_ms: int = 10_000,
    partitions: tuple[int, ...] | None = None,
) -> ClaimBatch:
    return store.claim(
        ClaimRequest(owner=owner, lane=lane, limit=limit, lease_ms=lease_ms, seen=Instant(seen), partitions=partitions)
    )


def verdicts(applied: Applied) -> list[Verdict]:
    return [written.verdict for written in applied.written]


def put(store: Store, *records: Record) -> list[Record]:
    """Create records; answers them as they are stored."""
    changes = [Change(key=r.key, expect=None, record=r, write_id=new_id()) for r in records]
    assert verdicts(store.apply(changes)) == [Verdict.APPLIED] * len(records)
    return stored(store, *(r.key for r in records))


def stored(store: Store, *keys: Key) -> list[Record]:
    """The records of these keys, all of which are there."""
    records = [record for record in store.fetch(keys).records if record is not None]
    assert [record.key for record in records] == list(keys)
    return records


def keys(records: object) -> list[str]:
    return [record.key for record in records]  # type: ignore[attr-defined]

"""Many small writes of one process, each decided on what is stored now, carried out in one fetch and one apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import change_of

#: Somebody came in between this often: the rest waits for the next time.
_TRIES = 5


class Errand(Protocol):
    """One write that is owed.

    ``known`` is the record as it was last seen, or None to have it fetched; a record that somebody
    else changed meanwhile is fetched and decided on again.
    """

    known: Record | None

    @property
    def key(self) -> Key:
        """The record it is about."""

    def decide(self, record: Record | None, now: Instant | None, asked_at: float) -> Write | None:
        """What to write; None if there is nothing (more) to write.

        :param now: the store's time of the fetch; None if ``known`` was taken.
        :param asked_at: the monotonic time before that fetch.
        """

    def wrote(self, record: Record, asked_at: float) -> None:
        """It is stored, as ``record`` says; ``asked_at`` is the monotonic time before the write."""


def carry_out(store: Store, clock: Clock, errands: Sequence[Errand]) -> None:
    """Carry out errands; two of the same record one after the other.

    :raises StoreError: what is not yet done may be asked again later, whole.
    """
    asked = list(errands)
    for _ in range(_TRIES):
        if not asked:
            return
        asked = _round(store, clock, asked)


def _round(store: Store, clock: Clock, asked: Sequence[Errand]) -> list[Errand]:
    """One fetch and one apply; answers those that must be decided again."""
    asked_at = clock.monotonic()
    keys = list({errand.key: None for errand in asked if errand.known is None})
    now, fetched = _fetch(store, keys) if keys else (None, {})
    writes: dict[Key, tuple[Errand, Write]] = {}
    again: list[Errand] = []
    for errand in asked:
        if errand.known is None and errand.key not in fetched:
            continue  # it cannot be read, and a beat will say so
        if errand.key in writes:
            errand.known = None
            again.append(errand)
            continue
        record, seen_at = (fetched[errand.key], now) if errand.known is None else (errand.known, None)
        write = errand.decide(record, seen_at, asked_at)
        if write is not None:
            errand.known = record
            writes[errand.key] = (errand, write)
    return again + _apply(store, clock, writes)


def _apply(store: Store, clock: Clock, writes: dict[Key, tuple[Errand, Write]]) -> list[Errand]:
    if not writes:
        return []
    asked_at = clock.monotonic()
    applied = store.apply([change_of(key, errand.known, write) for key, (errand, write) in writes.items()])
    again = []
    for (errand, write), written in zip(writes.values(), applied.written, strict=True):
        if written.verdict is Verdict.APPLIED and write.record is not None:
            errand.known = replace(write.record, version=written.version)
            errand.wrote(errand.known, asked_at)
        else:
            errand.known = None
            again.append(errand)
    return again


def _fetch(store: Store, keys: Sequence[Key]) -> tuple[Instant, dict[Key, Record | None]]:
    """Records by key; one that cannot be read is left out, and costs no other."""
    try:
        fetched = store.fetch(keys)
    except CorruptRecord:
        if len(keys) == 1:
            return Instant(0), {}
        singly = [_fetch(store, [key]) for key in keys]
        return max(now for now, _ in singly), {key: record for _, found in singly for key, record in found.items()}
    return fetched.now, dict(zip(keys, fetched.records, strict=True))

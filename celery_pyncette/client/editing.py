"""Compare and set, many records at once: read, decide, write, and again where somebody else was faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from celery_pyncette.core.errors import CorruptRecord, InvalidEntry, PyncetteError, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import Decision, change_of

#: Each round that fails is one that another writer won; so many in a row are not bad luck.
ROUNDS = 200


@dataclass(slots=True)
class Edit:
    """One record to change, and what came of it.

    ``seen``: as it was at the first look. ``after``: as it is now, None if it is not there. ``written``: whether this
    edit changed it. ``error``: why nothing was tried; the other edits of the same call go on.
    """

    key: Key
    decide: Decision
    seen: Record | None = None
    after: Record | None = None
    now: Instant = Instant(0)
    written: bool = False
    error: PyncetteError | None = None
    rounds: int = field(default=0)


def edit_all(store: Store, edits: Sequence[Edit]) -> None:
    """Carry out all edits, at most one per key. Two round trips, and two more for those that were overtaken.

    :raises StoreError: if the store cannot be reached, or if others were faster ``ROUNDS`` times.
    """
    pending = list(edits)
    for _ in range(ROUNDS):
        if not pending:
            return
        pending = _round(store, pending)
    if pending:
        raise StoreUnavailable(f"{pending[0].key!r} kept being changed by others; try again")


def _round(store: Store, edits: list[Edit]) -> list[Edit]:
    wanted = []
    for edit, before in zip(edits, _fetch(store, edits), strict=True):
        if edit.error is not None:
            continue
        if edit.rounds == 0:
            edit.seen = before
        edit.rounds += 1
        edit.after = before
        try:
            write = edit.decide(before, edit.now)
        except InvalidEntry as error:
            edit.error = error
            continue
        if write is not None:
            wanted.append((edit, change_of(edit.key, before, write)))
    if not wanted:
        return []
    again = []
    applied = store.apply([change for _, change in wanted])
    for (edit, change), answer in zip(wanted, applied.written, strict=True):
        edit.now = applied.now
        if answer.verdict is Verdict.APPLIED:
            edit.written = True
            edit.after = None if change.record is None else replace(change.record, version=answer.version)
        else:
            again.append(edit)
    return again


def _fetch(store: Store, edits: list[Edit]) -> list[Record | None]:
    """What is stored; a record that cannot be read is the error of its own edit alone."""
    try:
        fetched = store.fetch([edit.key for edit in edits])
    except CorruptRecord as error:
        if len(edits) == 1:
            edits[0].error = error
            return [None]
        return [_fetch(store, [edit])[0] for edit in edits]
    for edit in edits:
        edit.now = fetched.now
    return list(fetched.records)

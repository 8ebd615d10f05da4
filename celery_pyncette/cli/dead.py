"""Dead letters in a store: found, due again, thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from celery_pyncette.client.editing import Edit, edit_all
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record, Write
from celery_pyncette.stores.protocol import Query, Store
from celery_pyncette.stores.writes import Decision
from celery_pyncette.words import distance, moment, times

COLUMNS = ("KEY", "NAME", "TASK", "WAS DUE", "OUTCOME", "REASON", "DELETED")
#: Kinds of records that may be dead letters: single occurrences, dynamic entries that run once, parked messages.
_KINDS = ("o:", "d:", "e:")
_PAGE = 500


def listed(store: Store, prefix: str, limit: int) -> tuple[list[Record], Instant, bool]:
    """At most ``limit`` of them, the store's now, and whether there are more."""
    found: list[Record] = []
    now = store.now()
    for record in _all(store, prefix):
        if len(found) == limit:
            return found, now, True
        found.append(record)
    return found, now, False


def chosen(store: Store, which: str | None, everything: bool) -> list[Record]:
    """The dead letters of a key or a name, or all."""
    if which is None:
        return list(_all(store, "")) if everything else []
    return [record for record in _all(store, "") if which in (record.key, record.spec.name)]


def edited(store: Store, records: list[Record], decide: Decision) -> list[str]:
    """Change each of them that is a dead letter still; answers the keys of those that were changed."""
    done: list[str] = []
    for start in range(0, len(records), _PAGE):
        edits = [Edit(record.key, decide) for record in records[start : start + _PAGE]]
        edit_all(store, edits)
        done += [edit.key for edit in edits if edit.written]
    return done


def again(record: Record | None, now: Instant) -> Write | None:
    """Due now, as if it had never been tried."""
    if record is None or record.dead is None or record.removed:
        return None
    return Write(record=replace(record, dead=None, due_at=now, run=None, lease=None))


def gone(record: Record | None, now: Instant) -> Write | None:
    """Deleted."""
    del now
    return None if record is None or record.dead is None else Write(record=None)


def cells(record: Record, now: Instant) -> tuple[str, ...]:
    """A row of the table, as ``COLUMNS`` says."""
    last = record.recent[-1] if record.recent else None
    return (
        record.key,
        record.spec.name,
        record.spec.task,
        "-" if last is None else moment(last.due_at),
        "-" if last is None else last.outcome,
        "" if last is None else last.reason or "",
        distance(record.dead, now),
    )


def document(record: Record) -> dict[str, Any]:
    """As JSON values; the keys are a promise."""
    last = record.recent[-1] if record.recent else None
    return {
        "key": record.key,
        "name": record.spec.name,
        "origin": record.spec.origin.value,
        "task": record.spec.task,
        **times("due_at", None if last is None else last.due_at),
        "outcome": None if last is None else last.outcome,
        "reason": None if last is None else last.reason,
        "attempt": None if last is None else last.attempt,
        **times("dead_until", record.dead),
    }


def _all(store: Store, prefix: str) -> Iterator[Record]:
    for kind in _KINDS:
        cursor: str | None = None
        while True:
            page = store.scan(Query(prefix=kind, name_prefix=prefix or None, dead=True, limit=_PAGE), cursor)
            yield from (record for record in page.records if not record.removed)
            cursor = page.cursor
            if cursor is None:
                break

"""How many runs of an overlapping entry there are: each is a record of its own, counted when one is made."""

from __future__ import annotations

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.lifecycle import may_fill
from celery_pyncette.core.partitions import parent_of
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Record
from celery_pyncette.stores.protocol import Query, Store


def is_full(store: Store, record: Record, now: Instant, rules: Rules) -> bool:
    """Whether a claimed record is about to make a one-shot, and has ``max_running`` already that are not over.

    One scan of an index by prefix, only where a one-shot is about to be made. Two beats never count for
    the same entry at once, because they would need the same claim.
    """
    if not may_fill(record, now, rules):
        return False
    query = Query(prefix=f"o:{record.key}@", dead=False, limit=min(500, rules.max_running + 1))
    alive = 0
    cursor: str | None = None
    while True:
        page = store.scan(query, cursor)
        # Another entry's name may go on where this one's ends.
        alive += sum(not one.removed and parent_of(one.key) == record.key for one in page.records)
        cursor = page.cursor
        if alive >= rules.max_running or cursor is None:
            return alive >= rules.max_running

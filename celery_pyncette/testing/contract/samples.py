"""Records and changes to try a store with."""

from __future__ import annotations

from typing import Any

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Outcome, Pause, Record, Run, Token
from celery_pyncette.stores.protocol import Change, Expected


def sample(
    key: str,
    due_at: int = 0,
    *,
    lane: Lane = Lane.ENTRIES,
    origin: Origin = Origin.DYNAMIC,
    name: str | None = None,
    task: str = "tasks.report",
    generation: str = "g1",
    kwargs: dict[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """A record that is ready at ``due_at``, unless other fields say otherwise."""
    spec = EntrySpec(
        name=key[2:] if name is None else name, task=task, origin=origin, args=(1, "zwei"), kwargs=kwargs or {}
    )
    return Record(key=Key(key), lane=lane, generation=generation, spec=spec, due_at=Instant(due_at), **fields)


def create(record: Record, **fields: Any) -> Change:
    return Change(key=record.key, expect=None, record=record, write_id=new_id(), **fields)


def replace_with(before: Record, after: Record | None, **fields: Any) -> Change:
    """The change from one content to another; None deletes."""
    expect = Expected(before.generation, before.version)
    return Change(key=before.key, expect=expect, record=after, write_id=new_id(), **fields)


OPEN = Run(due_at=Instant(1000), generation="g1", task_id="t-1", until=Instant(2000))
RUNNING = Run(
    due_at=Instant(1000), generation="g1", starts=1, started_at=Instant(1100), worker="w", token=Token(5), nonce="n"
)
REPORTED = Run(
    due_at=Instant(1000), generation="g1", starts=1, started_at=Instant(1100), outcome=Outcome.FAILED, reason="oh"
)
PAUSED = Pause(note="holiday", until=NEVER)

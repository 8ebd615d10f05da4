"""The retry loops around compare-and-set, written once: as the holder of a lease, and as an editor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.stores.protocol import Change, Expected, Store, Verdict, Written

#: What is to be written, decided from what is stored now; None to leave it alone.
Decision = Callable[[Record | None, Instant], Write | None]


def change_of(key: Key, before: Record | None, write: Write) -> Change:
    """The change that replaces exactly ``before``."""
    return Change(
        key=key,
        expect=None if before is None else Expected(before.generation, before.version),
        record=write.record,
        write_id=new_id(),
        lease_for=write.lease_for,
        creates=write.creates,
    )


def write_as_holder(store: Store, held: Sequence[tuple[Record, Decision]]) -> list[Written]:
    """Write each record that was claimed, for as long as its token is still ours.

    An edit by somebody else does not end a lease: the decision is asked again about what is stored
    then. STALE means that the token is another's, or that the decision left the record alone.
    """
    asked = [(record, decide, decide(record, Instant(0))) for record, decide in held]
    answers: dict[Key, Written] = {}
    while asked:
        changes = [change_of(record.key, record, write) for record, _, write in asked if write is not None]
        applied = store.apply(changes)
        verdicts = dict(zip((c.key for c in changes), applied.written, strict=True))
        stale = []
        for record, decide, write in asked:
            answer = verdicts.get(record.key, Written(Verdict.STALE)) if write is not None else Written(Verdict.STALE)
            answers[record.key] = answer
            if write is not None and answer.verdict is Verdict.STALE:
                stale.append((record, decide))
        asked = _still_held(store, stale)
    return [answers[record.key] for record, _ in held]


def _still_held(store: Store, stale: list[tuple[Record, Decision]]) -> list[tuple[Record, Decision, Write | None]]:
    if not stale:
        return []
    fetched = store.fetch([record.key for record, _ in stale])
    again = []
    for (record, decide), now_stored in zip(stale, fetched.records, strict=True):
        if now_stored is not None and now_stored.token == record.token and now_stored.version != record.version:
            again.append((now_stored, decide, decide(now_stored, fetched.now)))
    return again


def write_as_editor(store: Store, key: Key, decide: Decision) -> tuple[Written, Record | None]:
    """Read, decide, write, until nobody came in between; answers the verdict and what was written.

    A decision of None ends it with STALE and the record as it was read.
    """
    while True:
        fetched = store.fetch([key])
        before = fetched.records[0]
        write = decide(before, fetched.now)
        if write is None:
            return Written(Verdict.STALE), before
        answer = store.apply([change_of(key, before, write)]).written[0]
        if answer.verdict is Verdict.APPLIED:
            return answer, write.record

"""Writes that go through whatever is stored, and one that is torn in two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record
from celery_pyncette.stores.protocol import Applied, Change, Expected, Verdict
from tests.simulation.store_view import SharedStore, StoreView

_apply, _view_apply = SharedStore.apply, StoreView.apply


def without_compare(of: Callable[[str, Record, Record | None], bool]) -> Callable[..., Applied]:
    """Some writes go through whatever is stored."""

    def apply(self: SharedStore, owner: str, changes: Sequence[Change], seen: Instant) -> Applied:
        return _apply(self, owner, [_free(self, owner, change, of) for change in changes], seen)

    return apply


def _free(shared: SharedStore, owner: str, change: Change, of: Callable[[str, Record, Record | None], bool]) -> Change:
    stored = shared.ledger.current.get(change.key)
    if stored is None or change.expect is None or stored.lane != 0 or not of(owner, stored, change.record):
        return change
    return replace(change, expect=Expected(stored.generation, stored.version))


def a_report(owner: str, stored: Record, after: Record | None) -> bool:
    return owner.startswith("worker") and after is not None and after.run is not None and after.run.outcome is not None


def a_renewal(owner: str, stored: Record, after: Record | None) -> bool:
    running = after is not None and after.run is not None and after.run.is_running
    return owner.startswith("worker") and running and stored.run is not None and stored.version > 3


def a_record(owner: str, stored: Record, after: Record | None) -> bool:
    run = None if after is None else after.run
    return owner.startswith("beat") and run is not None and run.is_open and run.dispatched_at is None


def a_mark(owner: str, stored: Record, after: Record | None) -> bool:
    run = None if after is None else after.run
    return owner.startswith("beat") and run is not None and run.is_open and run.dispatched_at is not None


def a_final(owner: str, stored: Record, after: Record | None) -> bool:
    return owner.startswith("beat") and stored.run is not None and (after is None or after.run is None)


def parent_first(self: StoreView, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
    applied = _view_apply(self, [replace(change, creates=()) for change in changes], seen)
    children = [
        Change(key=child.key, expect=None, record=child, write_id=new_id())
        for change, answer in zip(changes, applied.written, strict=True)
        if answer.verdict is Verdict.APPLIED
        for child in change.creates
    ]
    if children:
        _view_apply(self, children, seen)
    return applied

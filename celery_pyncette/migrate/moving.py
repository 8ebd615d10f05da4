"""Entries of another scheduler -> dynamic entries here, with their last runs; or only what would become of them."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from celery_pyncette.client.defining import Wanted, define
from celery_pyncette.client.desk import Desk
from celery_pyncette.client.editing import Edit
from celery_pyncette.core.due_times import EntryTimes, times_of
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key, Pause, Recent, Record, Write
from celery_pyncette.core.schedules import Every, Once
from celery_pyncette.migrate.differences import difference
from celery_pyncette.migrate.imported import Imported
from celery_pyncette.stores.protocol import Store

_BATCH = 500


class Fate(str, enum.Enum):
    """What becomes of an entry."""

    CREATED = "created"
    """It is new here, and due when it is due there."""
    CHANGED = "changed"
    """A dynamic entry of the name has another definition, and gets this one."""
    UNCHANGED = "unchanged"
    """It is here already."""
    STATIC = "static"
    """``beat_schedule`` defines an entry of the name: that one runs."""
    OVER = "over"
    """There is nothing to run any more."""
    REFUSED = "refused"
    """It cannot be an entry here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One entry and its fate. ``due_here`` is None where nothing was made; ``differs``: why it is not due as there."""

    entry: Imported
    fate: Fate
    reason: str = ""
    due_here: Instant | None = None
    differs: str | None = None


class Moved(Wanted):
    """An entry that goes on where the other scheduler stopped; one that is here already is left as it is.

    :param origin: of what scheduler, for the history.
    """

    def __init__(self, desk: Desk, entry: Imported, origin: str, static: Collection[str]) -> None:
        super().__init__(desk, entry.form, static)
        self.imported, self._origin, self._recent = entry, origin, desk.settings.recent_runs

    def decide(self, before: Record | None, now: Instant) -> Write | None:
        """See ``Wanted``."""
        write = super().decide(before, now)
        if write is None or write.record is None or not is_new(before):
            return write
        return replace(write, record=self._going_on(write.record, now))

    def times(self, anchor: Instant) -> EntryTimes:
        """Its due times, if intervals count from ``anchor``."""
        return times_of(self.entry.spec, self.entry.schedule, self.entry.zone, anchor)

    def _going_on(self, record: Record, now: Instant) -> Record:
        entry, count = self.imported, record.counters
        since = entry.since if isinstance(self.entry.schedule, Every) else None
        anchor = record.anchor if since is None else since
        due = self._due(record, self.times(anchor), now)
        runs = entry.total_run_count
        return replace(
            record,
            anchor=anchor,
            due_at=due,
            paused=record.paused if entry.enabled else Pause(note=f"switched off in {self._origin}", catch_up="none"),
            counters=replace(count, expected=count.expected + runs, started=count.started + runs),
            recent=self._history(),
        )

    def _due(self, record: Record, times: EntryTimes, now: Instant) -> Instant:
        if isinstance(self.entry.schedule, Once):
            return record.due_at
        if not self.imported.enabled:
            return times.next_after(now)
        return record.due_at if self.imported.since is None else times.next_after(self.imported.since)

    def _history(self) -> tuple[Recent, ...]:
        last = self.imported.last_run_at
        if last is None or not self._recent:
            return ()
        return (Recent(due_at=last, outcome="sent", dispatched_at=last, reason=f"by {self._origin}"),)


class Mover:
    """Moves entries in batches; each that cannot be moved costs only itself.

    :param static: names that are static here. :param write: whether to do it, or only to tell what would be done.
    """

    def __init__(self, desk: Desk, origin: str, static: Collection[str], *, write: bool) -> None:
        self._desk, self._origin, self._static, self._write = desk, origin, static, write

    def move(self, entries: Iterable[Imported]) -> Iterator[Move]:
        """What becomes of each, in order within a batch. The same again changes nothing.

        :raises StoreError: if the store fails; what was told before is done.
        """
        batch: dict[Key, Moved] = {}
        for entry in entries:
            fate = self._without_store(entry)
            if isinstance(fate, Move):
                yield fate
                continue
            if fate.definition.key in batch or len(batch) >= _BATCH:
                yield from self._flush(list(batch.values()))
                batch = {}
            batch[fate.definition.key] = fate
        yield from self._flush(list(batch.values()))

    def _without_store(self, entry: Imported) -> Move | Moved:
        if entry.name in self._static:
            return Move(
                entry=entry, fate=Fate.STATIC, reason="beat_schedule defines it: that runs, from its next time on"
            )
        if entry.problem is not None:
            return Move(entry=entry, fate=Fate.REFUSED, reason=entry.problem)
        if entry.over is not None:
            return Move(entry=entry, fate=Fate.OVER, reason=entry.over)
        try:
            return Moved(self._desk, entry, self._origin, self._static)
        except InvalidEntry as error:
            return Move(entry=entry, fate=Fate.REFUSED, reason=f"{error.field}={error.value!r}: {error.rule}")

    def _flush(self, batch: list[Moved]) -> Iterator[Move]:
        for moved, edit in zip(batch, self._edits(batch), strict=True):
            if edit.error is not None:
                yield Move(entry=moved.imported, fate=Fate.REFUSED, reason=str(edit.error))
            else:
                yield self._told(moved, edit)

    def _edits(self, batch: list[Moved]) -> list[Edit]:
        store = self._desk.store
        if not batch:
            return []
        return define(self._desk, store, batch) if self._write else [*_thought(store, batch)]

    def _told(self, moved: Moved, edit: Edit) -> Move:
        due = None if edit.after is None or edit.after.due_at >= NEVER else edit.after.due_at
        if not moved.is_done(edit):
            return Move(entry=moved.imported, fate=Fate.UNCHANGED, due_here=due)
        if not is_new(edit.seen):
            return Move(entry=moved.imported, fate=Fate.CHANGED, due_here=due)
        assert edit.after is not None
        differs = difference(moved.imported, moved.times(edit.after.anchor), edit.after.due_at, edit.now)
        return Move(entry=moved.imported, fate=Fate.CREATED, due_here=due, differs=differs)


def _thought(store: Store, batch: list[Moved]) -> Iterator[Edit]:
    """The edits as they would be carried out."""
    edits = [moved.edit() for moved in batch]
    fetched = store.fetch([edit.key for edit in edits])
    for edit, before in zip(edits, fetched.records, strict=True):
        edit.now, edit.seen, edit.after = fetched.now, before, before
        try:
            write = edit.decide(before, fetched.now)
        except InvalidEntry as error:
            edit.error = error
        else:
            edit.after = before if write is None else write.record
        yield edit


def is_new(before: Record | None) -> bool:
    """Whether an entry begins here with the write that replaces ``before``."""
    return before is None or before.removed or before.dead is not None

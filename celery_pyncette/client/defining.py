"""Schedule and unschedule: what becomes of the record that is there, decided on table 3.6 of the guarantees."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from celery_pyncette.client.children import cascade
from celery_pyncette.client.desk import Desk
from celery_pyncette.client.editing import Edit, edit_all
from celery_pyncette.clock import new_id
from celery_pyncette.core.due_times import EntryTimes, times_of
from celery_pyncette.core.edits import Definition, create, replaced, unscheduled
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Counters, Record, Write
from celery_pyncette.core.schedules import Once, check
from celery_pyncette.entry_forms import Understood, dynamic_key, understood
from celery_pyncette.schedule_forms import Form
from celery_pyncette.stores.protocol import Store
from celery_pyncette.translate import static_key


class Wanted:
    """One entry as it shall be; :meth:`decide` makes it so.

    Its generation is drawn once: a record that has it already is this very write, whose answer was lost.

    :param static: the names of static entries, which are not scheduled.
    """

    def __init__(self, desk: Desk, form: Form, static: Container[str], *, force: bool = False) -> None:
        self.entry: Understood = understood(form, desk)
        spec = self.entry.spec
        if spec.name in static:
            rule = "is a static entry, which beat_schedule defines; choose another name, or take it out there"
            raise InvalidEntry("name", spec.name, rule, spec.name)
        self.rules: Rules = desk.rules(spec, self.entry.schedule, strict=True)
        self.definition = Definition(
            key=dynamic_key(spec.name),
            spec=spec,
            timing=self.entry.timing,
            payload=self.entry.payload,
            generation=new_id(),
        )
        self.force, self._desk = force, desk

    def edit(self) -> Edit:
        """The edit that makes it so."""
        return Edit(self.definition.key, self.decide)

    def is_done(self, edit: Edit) -> bool:
        """Whether what is stored now was written by this call."""
        return edit.after is not None and edit.after.generation == self.definition.generation

    def decide(self, before: Record | None, now: Instant) -> Write | None:
        """What to write in the place of ``before``; None if it is so already."""
        if before is not None and before.generation == self.definition.generation:
            return None
        after = self._created(now) if before is None else self._replaced(before, now)
        if after is None:
            return None
        if after.due_at >= NEVER and not isinstance(self.entry.schedule, Once):
            check(self.entry.schedule, now, Frame(self.entry.zone, after.spec.name, after.anchor))
        return Write(record=after)

    def _created(self, now: Instant) -> Record:
        return create(self.definition, now, self._times(now), epoch=self._desk.meta.epoch)

    def _replaced(self, before: Record, now: Instant) -> Record | None:
        gone = before.removed or before.dead is not None
        if gone or self.force:
            # It begins anew: intervals, limits and counts too; the open run, if any, is all that it goes on with.
            before = replace(before, anchor=now, counters=Counters(expected=0 if before.run is None else 1))
        if gone:
            before = replace(before, paused=None, recent=())
        times = self._times(before.anchor)
        after = replaced(before, self.definition, now, times, self.rules, force=self.force)
        return None if after is None else _limited(after, before, now, times)

    def _times(self, anchor: Instant) -> EntryTimes:
        return times_of(self.entry.spec, self.entry.schedule, self.entry.zone, anchor)


def _limited(after: Record, before: Record, now: Instant, times: EntryTimes) -> Record:
    """A new ``max_runs`` counts from the entry's first run: it may wake an entry that was exhausted, or exhaust it."""
    old, new = before.spec.max_runs, after.spec.max_runs
    used = after.counters.expected - after.counters.skipped
    if new is not None and used >= new:
        return replace(after, due_at=NEVER)
    if after.due_at >= NEVER and old is not None and used >= old and not isinstance(after.spec.schedule, Once):
        return replace(after, due_at=times.next_after(now))
    return after


def define(desk: Desk, store: Store, wanted: Sequence[Wanted]) -> list[Edit]:
    """Make all of them so, at most one per name; each edit says what came of it."""
    edits = [each.edit() for each in wanted]
    edit_all(store, edits)
    replaced_ones = [
        edit.key for each, edit in zip(wanted, edits, strict=True) if edit.seen is not None and each.is_done(edit)
    ]
    cascade(desk, store, replaced_ones, {each.definition.key for each in wanted if each.force})
    return edits


def remove(desk: Desk, store: Store, name: str, generation: str | None) -> bool:
    """Remove the definition that is there, or only that of ``generation``; answers whether there was one.

    :raises InvalidEntry: for the name of a static entry.
    """
    tombstone = new_id()
    first: list[str] = [] if generation is None else [generation]

    def decide(before: Record | None, now: Instant) -> Write | None:
        del now
        if before is None or before.removed:
            return None
        if not first:
            first.append(before.generation)
        return unscheduled(before, tombstone) if before.generation == first[0] else None

    edit = Edit(dynamic_key(name), decide)
    edit_all(store, [edit])
    if edit.error is not None:
        raise edit.error
    was_there = edit.seen is not None and not edit.seen.removed
    if was_there and (generation is None or (edit.seen is not None and edit.seen.generation == generation)):
        cascade(desk, store, [edit.key])
        return True
    if not was_there:
        static = store.fetch([static_key(name)]).records[0]
        if name in desk.static or (static is not None and not static.removed):
            raise InvalidEntry("name", name, "is a static entry; take it out of beat_schedule, or pause it", name)
    return False

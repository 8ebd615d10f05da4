"""What this beat does about a record that it has claimed: by its definition, by another beat's, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from celery_pyncette.clock import new_id
from celery_pyncette.core.counting import hold_back
from celery_pyncette.core.edits import unscheduled
from celery_pyncette.core.errors import CorruptRecord, StoreError
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.lifecycle import plan
from celery_pyncette.core.plans import Plan
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Key, Origin, Record, Skip, Write
from celery_pyncette.core.taking import OneTime, Skips
from celery_pyncette.engine.announce import Announcer
from celery_pyncette.engine.crowd import is_full
from celery_pyncette.engine.definitions import Definitions, Meaning
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.reconcile import redefined
from celery_pyncette.engine.results import Heard
from celery_pyncette.engine.steps import Step, only
from celery_pyncette.stores.protocol import Store

#: A record that this beat must not decide about is left to the others for this long, in milliseconds.
STEP_ASIDE = 1_000
#: An open run whose result backend cannot be asked is left alone for this long, in milliseconds.
UNHEARD = 2_000


class Deciding:
    """Decides about one record after another; of a store it only asks whether an entry has room for a one-shot."""

    def __init__(self, store: Store, definitions: Definitions, neighbours: Neighbours, announce: Announcer) -> None:
        self._store = store
        self._definitions = definitions
        self._neighbours = neighbours
        self._announce = announce
        self._heard: Mapping[Key, Heard] = {}
        self._neighbours_read = False

    def begin(self, heard: Mapping[Key, Heard]) -> None:
        """A new cycle, and what a result backend said about its records' runs."""
        self._heard = heard
        self._neighbours_read = False

    def decide(self, record: Record, now: Instant) -> Step | None:
        """What to do about a record; None for one that cannot be understood: its lease puts it off."""
        try:
            meaning = self._definitions.meaning(record)
            if meaning is None and (record.removed or record.dead is not None):
                # Nobody defines it any more, and all that is left to do is to end its run and to delete it.
                return Step(plan(record, now, OneTime(record.due_at), Rules()), None, record)
            if meaning is None:
                return only(record, hold_back(record, STEP_ASIDE))
            tombstone = record.removed and record.key.startswith("o:")
            if record.spec.origin is Origin.STATIC and record.timing != meaning.timing and not tombstone:
                return Step(self._other_timing(record, now), None, record)
            return self._planned(record, meaning, now)
        except CorruptRecord as corrupt:
            self._announce.quarantined(corrupt.key, corrupt.reason)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a schedule may be any class of the user's
            self._announce.entry_failed(record, error)
        return None

    def _planned(self, record: Record, meaning: Meaning, now: Instant) -> Step:
        times, rules = meaning.times, meaning.rules
        heard = self._heard.get(record.key)
        if heard is not None and not heard.answered:
            return only(record, hold_back(record, UNHEARD))
        if heard is not None and heard.backend is not None and record.run is not None:
            record = replace(record, run=replace(record.run, task_id=heard.task_id))
            return Step(plan(record, now, times, rules, heard.backend), meaning, record)
        if is_full(self._store, record, now, rules):
            return Step(plan(record, now, times, rules, full=True), meaning, record)
        return Step(plan(record, now, times, rules), meaning, record)

    def _other_timing(self, record: Record, now: Instant) -> Plan:
        """The store has a static entry with another timing than this beat: whose is right?"""
        if self._others_define(record.spec.name, record.timing):
            return Plan(record=record, first=hold_back(record, STEP_ASIDE))
        if record.key.startswith("o:"):
            # One occurrence of a definition that is gone: what no edit has removed yet, as one would.
            due = record.due_at if record.run is None else record.run.due_at
            started = record.run is not None and not record.run.is_open
            skips = None if started else Skips(due, due, 1, Skip.REPLACED)
            return Plan(record=record, first=unscheduled(record, new_id()), skips=skips)
        after = redefined(record, self._definitions, now)
        if after.run is not None and after.run.is_running:
            # A running record without a lease would never be ready again.
            return Plan(record=record, first=hold_back(after, 0))
        return Plan(record=record, first=Write(record=replace(after, lease=None)))

    def _others_define(self, name: str, timing: str) -> bool:
        """Whether a live manifest has it; what was read a while ago may lack a beat that has just started."""
        if self._neighbours.defines(name, timing):
            return True
        if not self._neighbours_read:
            self._neighbours.read()
            self._neighbours_read = True
        return self._neighbours.defines(name, timing)

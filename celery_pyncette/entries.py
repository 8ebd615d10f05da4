"""What records mean in this process: static entries from its configuration, dynamic ones from their own spec."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import tzinfo
from typing import Any

from celery_pyncette.clock import new_id
from celery_pyncette.core.due_times import EntryTimes, times_of
from celery_pyncette.core.edits import Definition
from celery_pyncette.core.errors import CorruptRecord, InvalidEntry, PyncetteError
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import EntrySpec, Origin, Record
from celery_pyncette.core.schedules import Cron, CronFields
from celery_pyncette.core.timeline import zone_named
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.parking import meaning_of
from celery_pyncette.rulebook import Rulebook
from celery_pyncette.settings import Settings
from celery_pyncette.translate import StaticEntry, zone_of

logger = logging.getLogger(__name__)

_MOST_TASKS = 256


class StaticDefinitions:
    """The ``Definitions`` of one app.

    An entry whose rules contradict each other is left out, logged, and found in ``rejected``; the others run.

    :param entries: as ``translate_all`` gives them.
    :param gated: whether every worker is assumed to have the gate.
    :param why_unheard: of a task, where they have none: why no beat could learn how its runs end, or None.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        entries: Mapping[str, StaticEntry],
        *,
        gated: bool = True,
        why_unheard: Callable[[str], str | None] = lambda task: None,
    ) -> None:
        self._why_unheard = functools.lru_cache(_MOST_TASKS)(why_unheard)
        self._zone = zone_of(app)
        self._rulebook = Rulebook(app, settings, self._zone, gated=gated)
        self._entries: dict[str, StaticEntry] = {}
        self._rules: dict[str, Rules] = {}
        self._meanings: dict[str, tuple[Instant, Meaning]] = {}
        self.rejected: dict[str, PyncetteError] = {}
        for name, entry in entries.items():
            try:
                self._rules[name] = self._rulebook.resolved(entry.spec, cron=entry.cron)
                self._entries[name] = entry
            except PyncetteError as error:
                self.rejected[name] = error
                logger.error("entry_rejected: %r: %s; the other entries run", name, error, extra={"entry": name})  # noqa: TRY400

    def entry(self, name: str) -> StaticEntry:
        """A static entry. :raises KeyError: if this process does not define it."""
        return self._entries[name]

    def meaning(self, record: Record) -> Meaning | None:
        """See ``Definitions``; a one-shot means what its parent means."""
        if record.spec.origin is Origin.STATIC:
            return self._static_meaning(record.spec.name, record.anchor)
        if record.spec.origin is Origin.KEEPING:
            return None
        try:
            if record.spec.origin is Origin.DELAYED:
                return meaning_of(record, self._rulebook.rules(record.spec, cron=False))
            return self._own_meaning(record)
        except PyncetteError as error:
            raise CorruptRecord(record.key, str(error)) from error

    def static(self) -> Collection[str]:
        """See ``Definitions``."""
        return self._entries.keys()

    def definition(self, name: str) -> Definition:
        """See ``Definitions``. :raises KeyError: for a name that is not static here; so do the next two."""
        entry = self._entries[name]
        return Definition(
            key=entry.key, spec=entry.thin, timing=entry.timing, payload=entry.payload, generation=new_id()
        )

    def times(self, name: str, anchor: Instant) -> EntryTimes:
        """See ``Definitions``."""
        entry = self._entries[name]
        return times_of(entry.spec, entry.schedule, entry.zone, anchor)

    def rules(self, name: str) -> Rules:
        """See ``Definitions``."""
        return self._rules[name]

    def _static_meaning(self, name: str, anchor: Instant) -> Meaning | None:
        entry = self._entries.get(name)
        if entry is None:
            return None
        known = self._meanings.get(name)
        if known is not None and known[0] == anchor:
            return known[1]
        meaning = Meaning(spec=entry.spec, times=self.times(name, anchor), rules=self._rules[name], timing=entry.timing)
        self._meanings[name] = (anchor, meaning)
        return meaning

    def _own_meaning(self, record: Record) -> Meaning:
        """Of a record that says all by itself. Not cached: it is made faster than a large cache is searched."""
        spec = record.spec
        if spec.schedule is None:
            raise CorruptRecord(record.key, "it has no schedule")
        rules = self._rulebook.rules(spec, cron=isinstance(spec.schedule, (Cron, CronFields)))
        to_come = (
            record.run is None or record.run.is_open
        )  # what was begun or reported is ended, whoever has heard of it
        if rules.aware and not rules.gated and to_come and not record.removed and record.dead is None:
            unheard = self._why_unheard(spec.task)
            if unheard is not None:
                raise InvalidEntry("result_aware", True, unheard, spec.name)
        return Meaning(
            spec=spec,
            times=times_of(spec, spec.schedule, self._zone_of(spec), record.anchor),
            rules=rules,
            timing=record.timing,
        )

    def _zone_of(self, spec: EntrySpec) -> tzinfo:
        return self._zone if spec.timezone is None else zone_named(spec.timezone)

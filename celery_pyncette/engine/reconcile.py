"""Make the store match the static entries of this process: at its start, and when the store came back empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from celery_pyncette.core.edits import create, replaced
from celery_pyncette.core.errors import StoreError
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record, Write
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.events import Observers, Reconciled
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import change_of

_BATCH = 200
#: Ten beats that start at once get in each other's way a few times, not for ever.
_ROUNDS = 50


def redefined(record: Record, definitions: Definitions, now: Instant) -> Record:
    """A static record under this process's definition of it."""
    name = record.spec.name
    times = definitions.times(name, record.anchor)
    after = replaced(record, definitions.definition(name), now, times, definitions.rules(name))
    return record if after is None else after


class Reconciler:
    """Writes definitions; the last start wins, and what is the same already is left alone."""

    def __init__(self, store: Store, definitions: Definitions, observers: Observers) -> None:
        self._store = store
        self._definitions = definitions
        self._observers = observers

    def run(self, last_runs: Mapping[str, Instant] | None = None) -> Reconciled:
        """Write every static entry that is missing or differs.

        :param last_runs: of a stock beat, by entry name: such an entry that has never fired here is
            next due after its last run there. Empty, unless this process founded the namespace.
        :raises StoreError: if the store's answers make no progress possible.
        """
        seeds = {} if last_runs is None else last_runs
        names = sorted(self._definitions.static())
        tally = {"created": 0, "changed": 0, "unchanged": 0, "seeded": 0}
        for start in range(0, len(names), _BATCH):
            self._write(names[start : start + _BATCH], seeds, tally)
        done = Reconciled(removed=0, **tally)
        self._observers.see(done)
        return done

    def _write(self, names: Sequence[str], seeds: Mapping[str, Instant], tally: dict[str, int]) -> None:
        for _ in range(_ROUNDS):
            if not names:
                return
            names = self._round(names, seeds, tally)
        raise StoreError(f"static entries could not be written: {', '.join(names[:5])} kept changing")

    def _round(self, names: Sequence[str], seeds: Mapping[str, Instant], tally: dict[str, int]) -> list[str]:
        definitions = [self._definitions.definition(name) for name in names]
        fetched = self._store.fetch([definition.key for definition in definitions])
        changes, changed = [], []
        for name, before in zip(names, fetched.records, strict=True):
            after, kind = self._wanted(name, before, seeds, fetched.now)
            if after is None:
                tally[kind] += 1
            else:
                changes.append(change_of(after.key, before, Write(record=after)))
                changed.append((name, kind))
        if not changes:
            return []
        again = []
        for (name, kind), answer in zip(changed, self._store.apply(changes).written, strict=True):
            if answer.verdict is Verdict.APPLIED:
                tally[kind] += 1
                tally["seeded"] += name in seeds
            else:
                again.append(name)
        return again

    def _wanted(
        self, name: str, before: Record | None, seeds: Mapping[str, Instant], now: Instant
    ) -> tuple[Record | None, str]:
        """The record as it shall be, and what that is; None if it is so already."""
        definition = self._definitions.definition(name)
        seed = seeds.get(name)
        if before is None:
            made = create(definition, now, self._definitions.times(name, now))
            return (made if seed is None else self._seeded(made, seed)), "created"
        after = redefined(before, self._definitions, now)
        if seed is not None and before.counters.expected == 0 and before.run is None:
            after = self._seeded(after, seed)
        if after == before:
            return None, "unchanged"
        return after, "changed"

    def _seeded(self, record: Record, last_run: Instant) -> Record:
        """The record as if its entry had run here at ``last_run``: an interval goes on counting from there."""
        if not record.spec.enabled:
            return record
        due_at = self._definitions.times(record.spec.name, last_run).next_after(last_run)
        return replace(record, anchor=last_run, due_at=due_at)

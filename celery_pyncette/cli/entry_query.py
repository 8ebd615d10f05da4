"""Which entries are asked for, and reading them from a store, at most so many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from celery_pyncette.cli.entry_rows import NEW, EntryRow, defined_row, row_of
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Origin, Record
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.stores.protocol import Query, Store

_PAGE = 500
_BATCH = 200
_PREFIXES = {Origin.STATIC: "s:", Origin.DYNAMIC: "d:"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Every condition that is set must hold. ``name`` is a pattern as of a shell, or a name."""

    name: str | None = None
    prefix: str | None = None
    origin: Origin | None = None
    paused: bool = False
    limit: int = 1000

    def holds(self, name: str) -> bool:
        """Whether a name is asked for."""
        return name.startswith(self.prefix or "") and (self.name is None or fnmatchcase(name, self.name))

    @property
    def searched(self) -> str | None:
        """The longest beginning that every name asked for has; what a store can look for."""
        head = re.split(r"[*?\[]", self.name, maxsplit=1)[0] if self.name else ""
        return max(head, self.prefix or "", key=len) or None


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found, by name; ``more`` if the limit left some out."""

    now: Instant
    rows: tuple[EntryRow, ...]
    more: bool = False
    corrupt: tuple[CorruptRecord, ...] = ()


class Reader:
    """Reads what one selection asks for."""

    def __init__(self, store: Store, definitions: StaticDefinitions, selection: Selection) -> None:
        self._store = store
        self._definitions = definitions
        self._selection = selection
        self._now = Instant(0)
        self._corrupt: list[CorruptRecord] = []

    def read(self) -> Listing:
        """Records of both origins, and the entries of the configuration that have none."""
        limit = self._selection.limit
        found: list[Record] = []
        for record in self._records():
            found.append(record)
            if len(found) > limit:
                break
        rows = [row_of(record, self._definitions, self._now) for record in found]
        if len(rows) <= limit:
            rows += [defined_row(name, self._definitions, self._now, NEW) for name in self._missing(found)]
        shown = sorted(rows[:limit], key=lambda row: (row.name, row.origin))
        return Listing(self._now, tuple(shown), len(rows) > limit, tuple(self._corrupt))

    def _records(self) -> Iterator[Record]:
        selection = self._selection
        for origin, prefix in _PREFIXES.items():
            if selection.origin in (None, origin):
                query = Query(
                    prefix=prefix, name_prefix=selection.searched, paused=selection.paused or None, limit=_PAGE
                )
                yield from self._scan(query)

    def _scan(self, query: Query) -> Iterator[Record]:
        cursor: str | None = None
        while True:
            page = self._store.scan(query, cursor)
            self._now = max(self._now, page.now)
            self._corrupt += page.corrupt
            yield from (r for r in page.records if not r.removed and self._selection.holds(r.spec.name))
            cursor = page.cursor
            if cursor is None:
                return

    def _missing(self, found: list[Record]) -> list[str]:
        """Names of the configuration without a record; a corrupt one counts as a record."""
        if self._selection.paused or self._selection.origin is Origin.DYNAMIC:
            return []
        known = {record.spec.name for record in found if record.spec.origin is Origin.STATIC}
        unreadable = {error.key for error in self._corrupt}
        names = sorted(n for n in self._definitions.static() if n not in known and self._selection.holds(n))
        return [name for name in names if self._definitions.definition(name).key not in unreadable]


def configured(definitions: StaticDefinitions, selection: Selection, now: Instant, state: str) -> Listing:
    """What can be listed without a store."""
    if selection.paused or selection.origin is Origin.DYNAMIC:
        return Listing(now, ())
    names = sorted(name for name in definitions.static() if selection.holds(name))
    shown = names[: selection.limit]
    return Listing(now, tuple(defined_row(n, definitions, now, state) for n in shown), len(names) > len(shown))

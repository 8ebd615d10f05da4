"""The JSON of the entries that were read last, by identity: a beat writes back those that it read just before."""

from __future__ import annotations

from celery_pyncette.core.specs import EntrySpec


class Texts:
    """Remembers at least the last ``_ROOM`` of them, and at most twice as many."""

    _ROOM = 1024

    def __init__(self) -> None:
        self._new: dict[int, tuple[EntrySpec, str]] = {}
        self._old: dict[int, tuple[EntrySpec, str]] = {}

    def keep(self, spec: EntrySpec, text: str) -> None:
        if len(self._new) >= self._ROOM:
            self._old, self._new = self._new, {}
        self._new[id(spec)] = (spec, text)

    def of(self, spec: EntrySpec) -> str | None:
        """Its JSON as it was read; None if it was not, or long ago."""
        known = self._new.get(id(spec)) or self._old.get(id(spec))
        return None if known is None else known[1]

"""Where the engine finds out what a record means."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from celery_pyncette.core.edits import Definition
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import EntrySpec, Record
from celery_pyncette.core.taking import DueTimes


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What is known of an entry at dispatch: the full spec, its due times, its rules.

    ``timing`` is the fingerprint that the spec has here; for a static entry it may differ from the
    record's.
    """

    spec: EntrySpec
    times: DueTimes
    rules: Rules
    timing: str


class Definitions(Protocol):
    """Static entries from this process's configuration, dynamic ones from their own records."""

    def meaning(self, record: Record) -> Meaning | None:
        """What the record means; None for a static entry that this process does not define.

        :raises CorruptRecord: for a dynamic entry whose schedule this process cannot read.
        """

    def static(self) -> Collection[str]:
        """The names of all static entries of this process."""

    def definition(self, name: str) -> Definition:
        """The thin definition of a static entry, for the store; with a new generation each time."""

    def times(self, name: str, anchor: Instant) -> DueTimes:
        """The due times of a static entry whose intervals count from ``anchor``."""

    def rules(self, name: str) -> Rules:
        """The rules of a static entry."""

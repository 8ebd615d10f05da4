"""Many entries: read as they come, written in batches, each error kept to its own entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from celery_pyncette.client.defining import Wanted, define
from celery_pyncette.client.desk import Desk
from celery_pyncette.client.editing import Edit
from celery_pyncette.core.errors import InvalidEntry, PyncetteError, StoreError
from celery_pyncette.core.records import Key
from celery_pyncette.entry_forms import form_of

#: How many errors are kept; all are counted.
KEPT = 1000


@dataclass(frozen=True, slots=True)
class BulkError:
    """``number``: the entry's place in what was given, from 0. ``name``: its name, if it has one that is text."""

    number: int
    name: str | None
    error: PyncetteError


@dataclass(slots=True)
class BulkResult:
    """What became of many entries. ``errors`` are the first 1,000 of ``failed``; ``on_error`` is told of all."""

    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    failed: int = 0
    errors: list[BulkError] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many entries were read."""
        return self.created + self.replaced + self.unchanged + self.failed


class Bulk:
    """One call of ``schedule_tasks``; holds one batch at a time."""

    def __init__(self, desk: Desk, batch: int, force: bool, on_error: Callable[[BulkError], object] | None) -> None:
        self._desk, self._store, self._static = desk, desk.store, desk.static
        self._size, self._force, self._on_error = batch, force, on_error
        self._batch: dict[Key, tuple[int, Wanted]] = {}
        self.result = BulkResult()

    def run(self, given: Iterable[object]) -> BulkResult:
        """Write all of them, in order: of two with the same name the later one stays."""
        for number, one in enumerate(given):
            try:
                wanted = Wanted(self._desk, form_of(one), self._static, force=self._force)
            except InvalidEntry as error:
                self._failed(number, error.entry, error)
                continue
            if wanted.definition.key in self._batch or len(self._batch) >= self._size:
                self._flush()
            self._batch[wanted.definition.key] = (number, wanted)
        self._flush()
        return self.result

    def _flush(self) -> None:
        batch, self._batch = list(self._batch.values()), {}
        if not batch:
            return
        try:
            edits = define(self._desk, self._store, [wanted for _, wanted in batch])
        except StoreError as error:
            done = f"schedule_tasks: {self.result.total} entries were dealt with, the next {len(batch)} perhaps"
            raise type(error)(f"{error} ({done}; call it again: what is there already is left alone)") from error
        for (number, wanted), edit in zip(batch, edits, strict=True):
            self._count(number, wanted, edit)

    def _count(self, number: int, wanted: Wanted, edit: Edit) -> None:
        if edit.error is not None:
            self._failed(number, wanted.definition.spec.name, edit.error)
        elif not wanted.is_done(edit):
            self.result.unchanged += 1
        elif edit.seen is None or edit.seen.removed or edit.seen.dead is not None:
            self.result.created += 1
        else:
            self.result.replaced += 1

    def _failed(self, number: int, name: str | None, error: PyncetteError) -> None:
        failure = BulkError(number, name, error)
        self.result.failed += 1
        if len(self.result.errors) < KEPT:
            self.result.errors.append(failure)
        if self._on_error is not None:
            self._on_error(failure)

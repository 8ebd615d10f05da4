"""One-shots of an entry: what an edit of their parent means for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from celery_pyncette.client.desk import Desk
from celery_pyncette.client.editing import Edit, edit_all
from celery_pyncette.clock import new_id
from celery_pyncette.core.edits import Definition, replaced, unscheduled
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import parent_of
from celery_pyncette.core.records import Key, Record, Write
from celery_pyncette.core.taking import OneTime
from celery_pyncette.stores.protocol import Query, Store

#: Up to so many parents, the children of each are looked for by themselves.
_FEW = 8
#: Else all one-shots that could be theirs are walked through, as long as these are no more pages than this.
_PAGES = 4
_PAGE = 500


def cascade(desk: Desk, store: Store, parents: Sequence[Key], forced: Collection[Key] = ()) -> None:
    """After the parents were written: each child that is not of its parent's generation gets the same edit.

    It is replaced if its schedule is still the parent's, else unscheduled; dead letters stay. The children are looked
    for first and the parents read afterwards, so that no child of a definition written meanwhile is touched.

    :param forced: parents that were begun anew; to them no child belongs any more.
    """
    if not parents:
        return
    found = list(_children(store, parents))
    if not found:
        return
    keys = sorted({Key(parent_of(child.key)) for child in found})
    now_stored = dict(zip(keys, store.fetch(keys).records, strict=True))
    edits = []
    for child in found:
        parent = now_stored[Key(parent_of(child.key))]
        if parent is not None and parent.key in forced and child.generation != parent.generation:
            parent = None
        edits.append(_Child(desk, child.key, parent).edit())
    edit_all(store, edits)


class _Child:
    """One child, and its parent as it is now: None where it belongs to none any more."""

    def __init__(self, desk: Desk, key: Key, parent: Record | None) -> None:
        self._desk, self._key = desk, key
        self._parent = None if parent is None or parent.removed or parent.dead is not None else parent

    def edit(self) -> Edit:
        return Edit(self._key, self._decide)

    def _decide(self, child: Record | None, now: Instant) -> Write | None:
        if child is None or child.removed or child.dead is not None:
            return None
        parent = self._parent
        if parent is not None and child.generation == parent.generation:
            return None
        if parent is None or child.timing != parent.timing:
            return unscheduled(child, new_id())
        definition = Definition(
            key=child.key,
            spec=parent.spec,
            timing=parent.timing,
            payload=parent.payload,
            generation=parent.generation,
            lane=child.lane,
        )
        rules = self._desk.rules(parent.spec, parent.spec.schedule)
        after = replaced(child, definition, now, OneTime(child.due_at), rules)
        if after is None:
            return None
        return Write(record=None if after.run is None and after.due_at >= NEVER else after)


def _children(store: Store, parents: Sequence[Key]) -> Iterator[Record]:
    if len(parents) > _FEW:
        wanted = frozenset(parents)
        prefix = "o:" + _common(parents)
        walked = _walk(store, prefix, _PAGES)
        if walked is not None:
            yield from (child for child in walked if parent_of(child.key) in wanted)
            return
    for parent in parents:
        walked = _walk(store, f"o:{parent}@", None)
        yield from (child for child in walked or () if parent_of(child.key) == parent)


def _common(texts: Sequence[str]) -> str:
    """What all of them begin with."""
    least, most = min(texts), max(texts)
    return next((least[:at] for at, sign in enumerate(least) if most[at : at + 1] != sign), least)


def _walk(store: Store, prefix: str, most: int | None) -> Iterable[Record] | None:
    """All records of a prefix; None if they are more than ``most`` pages."""
    found: list[Record] = []
    cursor: str | None = None
    pages = 0
    while most is None or pages < most:
        page = store.scan(Query(prefix=prefix, limit=_PAGE), cursor)
        pages += 1
        found += page.records
        cursor = page.cursor
        if cursor is None:
            return found
    return None

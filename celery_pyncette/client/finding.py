"""Find entries by name, and list them page by page."""

from __future__ import annotations

from dataclasses import dataclass

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Origin, Record
from celery_pyncette.entry_forms import dynamic_key
from celery_pyncette.stores.protocol import Query, Store
from celery_pyncette.task_state import TaskState, state_of_record
from celery_pyncette.translate import static_key

#: A page of a listing looks at no more pages of the store than this, however few of them match.
_LOOKS = 20
_ENTRIES = (Origin.STATIC, Origin.DYNAMIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """Some entries, dynamic ones first, and where to go on: ``cursor`` is None once there are no more.

    A page may be short, even empty, and yet have a cursor. ``unreadable``: keys of records that cannot be read.
    """

    tasks: tuple[TaskState, ...]
    cursor: str | None = None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a listing is about; see ``list_tasks``."""

    prefix: str = ""
    origin: Origin | None = None
    task: str | None = None
    paused: bool | None = None
    running: bool | None = None
    dead: bool | None = None

    def ranges(self) -> tuple[str, ...]:
        """How the keys begin, in order: every store finds those by an index, however many entries there are.

        Very long names of static entries are hashed in their keys. Dead letters include single occurrences that were
        given up, whose keys hold that of their entry.
        """
        ranges = [f"d:{self.prefix}"] if self._of(Origin.DYNAMIC) else []
        if self._of(Origin.STATIC):
            hashed = ["s:#"] if self.prefix else []
            ranges += hashed if self.prefix.startswith("#") else [*hashed, f"s:{self.prefix}"]
        return (*ranges, *(f"o:{each}" for each in ranges)) if self.dead else tuple(ranges)

    def _of(self, origin: Origin) -> bool:
        return self.origin is None or self.origin is origin

    def fits(self, record: Record, now: Instant) -> bool:
        """What a store cannot tell: a pause may be over."""
        resting = record.paused is not None and record.paused.until > now
        origin = self.origin is None or record.spec.origin is self.origin
        return not record.removed and origin and (self.paused is None or self.paused is resting)


def origin_of(origin: object) -> Origin | None:
    """``static``, ``dynamic`` or None. :raises InvalidEntry: for anything else."""
    if origin is None:
        return None
    if origin in ("static", "dynamic"):
        return Origin(origin)
    raise InvalidEntry("origin", origin, "must be 'static' or 'dynamic'")


def located(store: Store, name: str, origin: Origin | None) -> tuple[Record | None, Instant]:
    """The entry of a name, and the store's now; None if there is none.

    :raises InvalidEntry: for field ``origin`` if there are two, and it is not said which is meant.
    """
    keys = {Origin.STATIC: static_key(name), Origin.DYNAMIC: dynamic_key(name)}
    fetched = store.fetch([keys[each] for each in _ENTRIES if origin is None or origin is each])
    found = [record for record in fetched.records if record is not None and not record.removed]
    if len(found) > 1:
        raise InvalidEntry("origin", None, "a static and a dynamic entry have this name: say which one is meant", name)
    return (found[0] if found else None), fetched.now


def page_of(store: Store, wish: Wish, limit: int, cursor: str | None, *, looks: int = _LOOKS) -> TaskPage:
    """The next entries.

    :param looks: how often a store may be asked again that looked at many records, and found too few that fit.
    :raises InvalidEntry: for a cursor that is none.
    """
    ranges = wish.ranges()
    place, at = _read(cursor, len(ranges))
    tasks: list[TaskState] = []
    unreadable: list[str] = []
    while place < len(ranges) and len(tasks) < limit and looks > 0:
        page = store.scan(_query(wish, ranges[place], limit - len(tasks)), at)
        tasks += [state_of_record(record, page.now) for record in page.records if wish.fits(record, page.now)]
        unreadable += [corrupt.key for corrupt in page.corrupt]
        at = page.cursor
        if at is None:
            place += 1
        else:
            looks -= 1
    more = f"{place}:{at or ''}" if place < len(ranges) else None
    return TaskPage(tasks=tuple(tasks), cursor=more, unreadable=tuple(unreadable))


def _query(wish: Wish, start: str, limit: int) -> Query:
    return Query(
        prefix=start,
        name_prefix=wish.prefix or None,
        task=wish.task,
        paused=True if wish.paused else None,
        running=wish.running,
        dead=wish.dead,
        limit=limit,
    )


def _read(cursor: str | None, ranges: int) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    place, separator, at = cursor.partition(":")
    if not separator or place not in map(str, range(ranges)):
        raise InvalidEntry("cursor", cursor, "must be the cursor of a page with the same filters")
    return int(place), at or None

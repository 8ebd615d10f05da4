"""What the pages show, read from the store. Each function blocks, and is called through ``asking``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from celery import Celery
from celery.events.state import Task

from celery_pyncette import delayed
from celery_pyncette.client import TaskPage, TaskState, finding, get_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import instant_of
from celery_pyncette.delayed import DelayedPage, DelayedState, get_delayed
from celery_pyncette.flower.asking import NoSuchEntry
from celery_pyncette.flower.rows import EntryRow, Moment, moment, row_of
from celery_pyncette.flower.views import View, Wish
from celery_pyncette.stores.protocol import Query

_PRESENCE = Query(prefix="p:", limit=500)


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """One parked message; ``args`` and ``kwargs`` as Flower's ``format_task`` lets them be seen."""

    task_id: str
    task: str
    queue: str
    eta: Moment | None
    state: str
    retries: int
    args: str
    kwargs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page of rows. It may be short, even empty, and yet have a ``cursor`` to look on from."""

    entries: tuple[EntryRow, ...] = ()
    parked: tuple[ParkedRow, ...] = ()
    cursor: str | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.parked)


@dataclass(frozen=True, slots=True)
class Living:
    """How many beats and gated workers live."""

    beats: int
    workers: int


def listed(app: Celery, wish: Wish, shown: Callable[[Task], Any]) -> Listing:
    """A page of what is wished for. :param shown: Flower's ``format_task``."""
    zone: tzinfo = app.timezone
    if wish.view is View.PARKED:
        found = messages(app, wish)
        return Listing(
            parked=tuple(_parked(state, zone, shown) for state in found.messages),
            cursor=found.cursor,
            unreadable=found.unreadable,
        )
    page = entries(app, wish)
    rows = tuple(row_of(state, zone) for state in page.tasks)
    return Listing(entries=rows, cursor=page.cursor, unreadable=page.unreadable)


def entries(app: Celery, wish: Wish, origin: str | None = None) -> TaskPage:
    """A page of entries, or of dead letters; one that takes the store long is told piece by piece."""
    which = finding.Wish(
        prefix=wish.prefix,
        task=wish.task,
        origin=finding.origin_of(origin),
        paused=True if wish.view is View.PAUSED else None,
        running=True if wish.view is View.RUNNING else None,
        dead=True if wish.view is View.DEAD else None,
    )
    return finding.page_of(desk_of(app).store, which, wish.size, wish.cursor, looks=1)


def messages(app: Celery, wish: Wish) -> DelayedPage:
    """A page of parked messages; a search for neither task nor queue is for the one of that task id."""
    if wish.prefix:
        found = get_delayed(wish.prefix.strip(), app=app)
        return DelayedPage(messages=() if found is None else (found,))
    return delayed.page_of(desk_of(app).store, wish.queue, wish.task, wish.size, wish.cursor, looks=1)


def entry(app: Celery, name: str, origin: str | None) -> TaskState:
    """An entry by its name, and by its origin if there are two. :raises NoSuchEntry: if there is none."""
    found = get_task(name, origin=origin, app=app)
    if found is None:
        raise NoSuchEntry(f"there is no entry {name!r} in the store")
    return found


def entries_of(app: Celery, name: str, origin: str | None) -> list[TaskState]:
    """The entry of a name; both, if a static and a dynamic one have it and no origin is said."""
    try:
        return [entry(app, name, origin)]
    except InvalidEntry as error:
        if error.field != "origin" or origin is not None:
            raise
        return [entry(app, name, each) for each in ("static", "dynamic")]


def living(app: Celery) -> Living:
    """Who lives; all are counted, also those whose names come last."""
    store, kinds = desk_of(app).store, list[Any]()
    cursor: str | None = None
    while True:
        page = store.scan(_PRESENCE, cursor)
        here = [one for one in page.records if one.lease is not None and one.lease.until > page.now]
        kinds += [(record.data or {}).get("kind") for record in here]
        cursor = page.cursor
        if cursor is None:
            beats = kinds.count("beat")
            return Living(beats=beats, workers=len(kinds) - beats)


def task_of(state: DelayedState) -> Task:
    """A parked message as Flower's ``format_task`` expects a task."""
    return Task(uuid=state.task_id, name=state.task, args=state.args, kwargs=state.kwargs, retries=state.retries)


def _parked(state: DelayedState, zone: tzinfo, shown: Callable[[Task], Any]) -> ParkedRow:
    task = shown(task_of(state))
    return ParkedRow(
        task_id=state.task_id,
        task=state.task,
        queue=state.queue,
        eta=moment(state.eta, instant_of(state.as_of), zone),
        state=state.state,
        retries=state.retries,
        args=str(task.args or ""),
        kwargs=str(task.kwargs or ""),
    )

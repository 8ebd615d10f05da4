"""The calls about entries that are there: looked at, paused, run. Each is a line over the modules beside it."""

from __future__ import annotations

from datetime import datetime, timedelta

from celery import Celery

from celery_pyncette.apps import choose
from celery_pyncette.client import steering
from celery_pyncette.client.desk import desk_of
from celery_pyncette.client.finding import TaskPage, Wish, located, origin_of, page_of
from celery_pyncette.entry_checks import check_name, check_whole
from celery_pyncette.task_state import TaskState, state_of_record


def get_task(name: str, *, origin: str | None = None, app: Celery | None = None) -> TaskState | None:
    """An entry as it is now; None if there is none.

    :param origin: ``static`` or ``dynamic``; needed only for a name that is both.
    """
    desk = desk_of(choose(app))
    found, now = located(desk.store, check_name("name", name), origin_of(origin))
    return None if found is None else state_of_record(found, now)


def list_tasks(
    *,
    prefix: str = "",
    origin: str | None = None,
    task: str | None = None,
    paused: bool | None = None,
    running: bool | None = None,
    dead: bool | None = None,
    limit: int = 100,
    cursor: str | None = None,
    app: Celery | None = None,
) -> TaskPage:
    """Entries that meet every condition that is given, ``limit`` at a time.

    Go on with the ``cursor`` of the page, and the same conditions, until it is None. Entries that stay put meanwhile
    are listed exactly once.

    :param prefix: how the name begins. ``task``: the name of the task, in full.
    :param dead: True: dead letters only, also those of single occurrences.
    """
    check_whole("limit", limit, 10_000)
    wish = Wish(prefix=prefix, origin=origin_of(origin), task=task, paused=paused, running=running, dead=dead)
    return page_of(desk_of(choose(app)).store, wish, limit, cursor)


def pause_task(
    name: str,
    note: str = "",
    until: datetime | timedelta | None = None,
    missed: str | None = None,
    *,
    origin: str | None = None,
    app: Celery | None = None,
) -> TaskState:
    """Let an entry rest; a run that has started goes on. Paused already: note, end and ``missed`` are set anew.

    :param note: why, for people; at most 500 characters.
    :param until: when it resumes by itself: an aware ``datetime``, or a ``timedelta`` from now; None: not by itself.
    :param missed: what becomes of what was missed, as in ``resume_task``, for when it resumes by itself.
    :raises InvalidEntry: if there is no such entry, for an ``until`` that has passed.
    """
    return steering.pause(desk_of(choose(app)), name, origin_of(origin), note, until, missed)


def resume_task(
    name: str, missed: str | None = None, *, origin: str | None = None, app: Celery | None = None
) -> TaskState:
    """Wake an entry; one that is not paused is left alone.

    :param missed: ``skip`` what was due meanwhile, run the ``latest`` of it, or ``all``; None: as the pause said, else
        as its catch-up policy says.
    """
    return steering.resume(desk_of(choose(app)), name, origin_of(origin), missed)


def run_task_now(name: str, *, origin: str | None = None, app: Celery | None = None) -> TaskState:
    """One more run, at once, beside whatever else the entry does: paused, running or not. Its due time stays.

    :return: the entry; the run is a record of its own.
    :raises InvalidEntry: if there is no such entry.
    """
    return steering.run_once(desk_of(choose(app)), name, origin_of(origin))

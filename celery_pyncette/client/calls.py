"""The public calls. Each is a few lines over the modules beside it; see ``docs/dynamic.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from celery import Celery, Task

from celery_pyncette import previews
from celery_pyncette.apps import choose
from celery_pyncette.client import steering
from celery_pyncette.client.bulk import Bulk, BulkError, BulkResult
from celery_pyncette.client.defining import Wanted, define, remove
from celery_pyncette.client.desk import Desk, desk_of
from celery_pyncette.client.finding import TaskPage, Wish, located, origin_of, page_of
from celery_pyncette.client.joining import store_within
from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.policies import Policy
from celery_pyncette.core.records import EntrySpec, Origin
from celery_pyncette.core.schedules import Jitter, Once, Schedule
from celery_pyncette.display import describe
from celery_pyncette.entry_checks import check_name
from celery_pyncette.entry_forms import understood
from celery_pyncette.fingerprints import zone_key
from celery_pyncette.previews import Preview
from celery_pyncette.schedule_forms import Form
from celery_pyncette.task_state import TaskState, state_of_record

#: A cron string or alias, ``Cron``, ``Every``, ``Once``, or Celery's ``crontab``, ``schedule``, ``solar``.
AnySchedule = str | Schedule | Any


def schedule_task(
    task: str | Task,
    name: str,
    *,
    schedule: AnySchedule | None = None,
    interval: int | float | timedelta | None = None,
    execute_at: datetime | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    timezone: str | tzinfo | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    max_runs: int | None = None,
    jitter: int | float | timedelta | Jitter | None = None,
    policy: Policy | Mapping[str, Any] | None = None,
    tenant: str | None = None,
    force: bool = False,
    connection: Any = None,
    app: Celery | None = None,
) -> TaskState:
    """Make ``name`` an entry that calls ``task``: create it, or replace what it was. It holds at once, in all beats.

    What is the same already is left alone, and nothing is written. A run that is going on is never disturbed.

    :param task: a task, or its name. Under ``pyncette_allowed_tasks``, one that it names.
    :param schedule: or ``interval`` (seconds or ``timedelta``) or ``execute_at``: exactly one of the three.
    :param execute_at: one run at that time; at once if it has passed. The entry is gone afterwards.
    :param args: and ``kwargs``: JSON.
    :param options: of ``apply_async``; which ones is told in ``docs/dynamic.md``.
    :param timezone: where the clock of ``schedule`` is read, and naive times; the app's, as it is now, if not given.
    :param start: no due time before it; an interval is due at ``start`` itself. ``end``: none after it.
    :param max_runs: how often it runs, skipped occurrences not counted; then it stays, exhausted.
    :param jitter: delays each due time by up to so much.
    :param policy: a ``Policy`` or a dict of its fields; what it leaves open is decided by the beat at dispatch.
    :param tenant: whatever you like to group by; kept, and shown.
    :param force: replace also what is the same: due anew, counted anew.
    :param connection: a SQLAlchemy connection or session to the store's database: the entry is there if and when its
        transaction commits. SQL stores only.
    :raises InvalidEntry: naming field, value and rule. :raises AppNotChosen: if no app can be told.
    :raises WrongDatabase: for a ``connection`` to another database than the store's.
    :raises StoreNotConfigured: without ``pyncette_store_url``. :raises StoreUnavailable: after the clients' time-out;
        it may have been done nevertheless, and calling again is safe.
    """
    desk = desk_of(choose(app, task))
    form = Form(
        task=task,
        name=name,
        schedule=schedule,
        interval=interval,
        execute_at=execute_at,
        args=args,
        kwargs=kwargs,
        options=options,
        timezone=timezone,
        start=start,
        end=end,
        max_runs=max_runs,
        jitter=jitter,
        policy=policy,
        tenant=tenant,
    )
    return _defined(desk, form, force, connection)


def _defined(desk: Desk, form: Form, force: bool, connection: object) -> TaskState:
    wanted = Wanted(desk, form, desk.static, force=force)
    (edit,) = define(desk, store_within(desk, connection), [wanted])
    if edit.error is not None:
        raise edit.error
    assert edit.after is not None
    return state_of_record(edit.after, edit.now)


def schedule_tasks(
    specs: Iterable[Mapping[str, Any] | EntrySpec],
    *,
    app: Celery | None = None,
    batch: int = 500,
    force: bool = False,
    on_error: Callable[[BulkError], object] | None = None,
) -> BulkResult:
    """Schedule many entries; a million is fine: they are read as they are needed, and written ``batch`` at a time.

    An entry that is refused costs only itself: it is counted, and told to ``on_error``. The same call again changes
    nothing that is there already, so it may be repeated after an error of the store.

    :param specs: dicts with the keywords of ``schedule_task`` (without ``force``, ``connection``, ``app``), or
        ``EntrySpec`` objects. Of two with the same name the later one stays.
    :raises AppNotChosen: unless ``app`` is given, or there is one that ``Pyncette(app)`` was called with.
    :raises StoreError: if the store fails; the message says how far it came.
    """
    _check_whole("batch", batch, 10_000)
    return Bulk(desk_of(choose(app)), batch, force, on_error).run(specs)


def unschedule_task(
    name: str, *, generation: str | None = None, connection: Any = None, app: Celery | None = None
) -> bool:
    """Remove a dynamic entry; a run that is going on goes on, and nothing follows it.

    :param generation: remove it only if it is still that very definition, as ``TaskState.generation`` said.
    :param connection: as in ``schedule_task``: it is removed if and when that transaction commits.
    :return: whether there was one.
    :raises InvalidEntry: for a static entry: that is taken out of ``beat_schedule``, or paused.
    """
    desk = desk_of(choose(app))
    return remove(desk, store_within(desk, connection), check_name("name", name), generation)


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
    _check_whole("limit", limit, 10_000)
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


def preview_schedule(
    schedule: AnySchedule | None = None,
    *,
    interval: int | float | timedelta | None = None,
    execute_at: datetime | None = None,
    count: int = 5,
    timezone: str | tzinfo | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    jitter: int | float | timedelta | Jitter | None = None,
    name: str = "preview",
    after: datetime | None = None,
    app: Celery | None = None,
) -> Preview:
    """When such an entry would be due, and what is odd about it. Asks no store.

    :param count: how many due times, 1 to 1000.
    :param name: of the entry, which decides about ``H`` fields and jitter.
    :param after: look on from this moment instead of now.
    :raises InvalidEntry: as ``schedule_task``.
    """
    _check_whole("count", count, 1000)
    desk = desk_of(choose(app))
    form = Form(
        task="preview",
        name=name,
        schedule=schedule,
        interval=interval,
        execute_at=execute_at,
        timezone=timezone,
        start=start,
        end=end,
        jitter=jitter,
    )
    entry = understood(form, _Anything(desk))
    now = desk.runtime.clock.now() if after is None else instant_of(after)
    times = times_of(entry.spec, entry.schedule, entry.zone, now)
    first = times.next_after(Instant(min(now, entry.schedule.at - 1)) if isinstance(entry.schedule, Once) else now)
    return previews.preview_of(times, first, now, count, describe(entry.schedule), zone_key(entry.zone))


def _check_whole(field: str, value: object, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidEntry(field, value, f"must be a whole number from 1 to {most}")


class _Anything:
    """An app's house without its allow-list: no task is meant."""

    def __init__(self, desk: Desk) -> None:
        self.app, self.zone, self.max_payload = desk.app, desk.zone, desk.max_payload
        self.allowed_tasks: tuple[str, ...] | None = None


__all__ = [
    "BulkError",
    "BulkResult",
    "Origin",
    "Preview",
    "TaskPage",
    "TaskState",
    "get_task",
    "list_tasks",
    "pause_task",
    "preview_schedule",
    "resume_task",
    "run_task_now",
    "schedule_task",
    "schedule_tasks",
    "unschedule_task",
]

"""The calls that say which entries there shall be; see ``docs/dynamic.md``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from celery import Celery, Task

from celery_pyncette.apps import choose
from celery_pyncette.client.bulk import Bulk, BulkError, BulkResult
from celery_pyncette.client.defining import Wanted, define, remove
from celery_pyncette.client.desk import Desk, desk_of
from celery_pyncette.client.joining import store_within
from celery_pyncette.core.policies import Policy
from celery_pyncette.core.records import EntrySpec
from celery_pyncette.core.schedules import Jitter
from celery_pyncette.entry_checks import check_name, check_whole
from celery_pyncette.schedule_forms import AnySchedule, Form
from celery_pyncette.task_state import TaskState, state_of_record


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
    check_whole("batch", batch, 10_000)
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

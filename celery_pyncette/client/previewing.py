"""The call that says when an entry would be due, before there is one."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from celery import Celery

from celery_pyncette.apps import choose
from celery_pyncette.client.desk import Desk, desk_of
from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.schedules import Jitter, Once
from celery_pyncette.display import describe
from celery_pyncette.entry_checks import check_whole
from celery_pyncette.entry_forms import understood
from celery_pyncette.fingerprints import zone_key
from celery_pyncette.previews import Preview, preview_of
from celery_pyncette.schedule_forms import AnySchedule, Form


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
    check_whole("count", count, 1000)
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
    return preview_of(times, first, now, count, describe(entry.schedule), zone_key(entry.zone))


class _Anything:
    """An app's house without its allow-list: no task is meant."""

    def __init__(self, desk: Desk) -> None:
        self.app, self.zone, self.max_payload = desk.app, desk.zone, desk.max_payload
        self.allowed_tasks: tuple[str, ...] | None = None

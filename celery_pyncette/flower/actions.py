"""What the buttons do: the client's own calls. Each function blocks, and is called through ``asking``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from celery import Celery
from kombu.exceptions import OperationalError

from celery_pyncette import parked
from celery_pyncette.client import TaskState, pause_task, resume_task, run_task_now, unschedule_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.records import Record
from celery_pyncette.delayed import DelayedState, get_delayed
from celery_pyncette.flower.asking import NoSuchEntry, TooLate, Untold
from celery_pyncette.flower.listing import entry
from celery_pyncette.revoked import say_revoked


def pause(
    app: Celery, name: str, origin: str | None, note: str = "", seconds: float | None = None, missed: str | None = None
) -> TaskState:
    """Pause an entry, for so many seconds or until it is resumed."""
    found = entry(app, name, origin)
    until = None if seconds is None else timedelta(seconds=seconds)
    return pause_task(name, note, until, missed, origin=found.origin.value, app=app)


def resume(app: Celery, name: str, origin: str | None, missed: str | None = None) -> TaskState:
    """Wake an entry."""
    return resume_task(name, missed, origin=entry(app, name, origin).origin.value, app=app)


def run(app: Celery, name: str, origin: str | None) -> TaskState:
    """One more run of an entry, at once."""
    return run_task_now(name, origin=entry(app, name, origin).origin.value, app=app)


def remove(app: Celery, name: str, origin: str | None) -> TaskState:
    """Remove a dynamic entry; answers what it was."""
    if origin == "static":
        raise InvalidEntry("origin", origin, "a static entry is taken out of beat_schedule, or paused", name)
    before = entry(app, name, "dynamic")
    if not unschedule_task(name, app=app):
        raise NoSuchEntry(f"there is no entry {name!r} in the store")
    return before


def cancel(app: Celery, task_id: str) -> DelayedState:
    """Take a parked message out of the store, and let its result say REVOKED, as Celery's own ``revoke`` does.

    :return: what it was.
    :raises NoSuchEntry: if none is parked under this id; a beat may just have sent it, so workers are told.
    :raises TooLate: if a beat or a worker had it already: it may run, but is not repeated, and workers are told.
    :raises Untold: if it is out of the store, and the result backend or the workers could not be told.
    """
    found = get_delayed(task_id, app=app)
    gone = parked.remove(desk_of(app).store, task_id)
    untold = [f"the result backend could not be told: {error}" for error in _say_revoked(app, gone)]
    late = any(claimed for _, claimed in gone)
    if late or found is None or not gone:
        try:
            app.control.revoke(task_id)
        except OperationalError as error:
            if not gone:
                raise
            untold.append(f"the broker could not be told: {error}")
    fate = "a beat or a worker had it already: it may run" if late else "it will not run"
    if untold:
        raise Untold(f"{task_id!r}: it is out of the store; {fate}; {'; '.join(untold)}")
    if late:
        raise TooLate(f"{task_id!r}: {fate}, unless workers revoke it in time")
    if found is None or not gone:
        raise NoSuchEntry(f"no message of task id {task_id!r} is parked, or a beat has just sent it")
    return found


def _say_revoked(app: Celery, gone: Iterable[tuple[Record, bool]]) -> Iterator[Exception]:
    """To the result backend, of each message that is out of the store; what went wrong."""
    for record, _ in gone:
        try:
            say_revoked(app, record)
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            yield error

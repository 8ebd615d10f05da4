"""Stock beat's schedule file; the reader itself is shared with beats, which seed from it at their first start.

Here the schedules are read too, and still nothing of Celery's is made by the pickle: its classes are replaced by
stand-ins that keep what they are called with, and a schedule is made of that afterwards, if it is plain data.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import schedules as celery_schedules

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.instants import Instant
from celery_pyncette.migrate.imported import Imported, due_after, kept_options, read_schedule, refused, wire
from celery_pyncette.seed import (
    NotReadable,
    Seed,
    StandIn,
    StandInEntry,
    Unpickler,
    file_at,
    last_run_of,
    load,
    read_last_runs,
    seed_due,
    value_of,
)

__all__ = ["Seed", "read", "read_last_runs", "seed_due"]


class _Crontab(StandIn):
    """``args``: minute, hour, day of week, day of month, month of year."""


class _Schedule(StandIn):
    """``args``: the interval, whether it is relative, its clock."""


class _Solar(StandIn):
    """``args``: event, latitude, longitude."""


_KINDS: dict[str, type[StandIn]] = {"crontab": _Crontab, "schedule": _Schedule, "solar": _Solar}


class _Reader(Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "celery.schedules" and name in _KINDS:
            return _KINDS[name]
        return super().find_class(module, name)


def read(source: str | None, app: Any, now: Instant) -> Iterator[Imported]:
    """Every entry of a schedule file.

    :param source: its path, as it was given to stock beat; None: ``beat_schedule_filename``.
    :raises ConfigurationError: if there is no such file, or it cannot be read.
    """
    del now
    path = Path(source or app.conf.beat_schedule_filename)
    file = file_at(path)
    if file is None:
        raise ConfigurationError(f"there is no schedule file {path}: say with --source where stock beat keeps it")
    try:
        entries = load(value_of(path, file), _Reader)
    except NotReadable as problem:
        raise ConfigurationError(f"{file}: {problem}") from problem
    except Exception as error:  # a corrupt file may raise anything
        raise ConfigurationError(f"{file} cannot be read: {type(error).__name__}: {str(error)[:200]}") from error
    for name, entry in entries.items():
        yield _entry_of(str(name), entry, app)


def _entry_of(name: str, entry: Any, app: Any) -> Imported:
    if not isinstance(entry, StandInEntry) or len(entry.args) < 8:
        return refused(name, "is no entry of stock beat")
    try:
        return _entry(name, entry.args, app)
    except InvalidEntry as error:
        return refused(name, f"{error.field}={error.value!r}: {error.rule}")
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        return refused(name, error)


def _entry(name: str, given: tuple[Any, ...], app: Any) -> Imported:
    _, task, last_run_at, count, stored, args, kwargs, options = given[:8]
    schedule = _schedule_of(stored)
    last = last_run_of(last_run_at)
    kept, notes = kept_options(options or {}, app)
    return Imported(
        name=name,
        task=task,
        schedule=read_schedule(schedule, app),
        args=wire(list(args or ())),
        kwargs=wire(dict(kwargs or {})),
        options=kept,
        since=last,
        last_run_at=last,
        total_run_count=int(count or 0),
        due_there=None if last is None else due_after(schedule, last, app),
        notes=tuple(notes),
    )


def _schedule_of(stored: Any) -> Any:
    """Celery's schedule, of plain data alone."""
    given = stored.args if isinstance(stored, StandIn) else ()
    if isinstance(stored, _Crontab) and len(given) == 5 and all(isinstance(each, _FIELD) for each in given):
        return celery_schedules.crontab(*given)
    if isinstance(stored, _Schedule) and len(given) > 1 and isinstance(given[0], timedelta) and not any(given[2:]):
        return celery_schedules.schedule(given[0], bool(given[1]))
    if isinstance(stored, _Solar) and len(given) == 3:
        return celery_schedules.solar(str(given[0]), float(given[1]), float(given[2]))
    raise InvalidEntry(
        "schedule", type(stored).__name__.strip("_"), "is none of Celery's own, or has a clock of its own"
    )


_FIELD = (str, int, list, tuple, set, frozenset)

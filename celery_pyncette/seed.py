"""Stock beat's schedule file, read for the last runs of its entries.

The file is opened for reading only, never created, locked or changed. It holds pickles; they are read by an unpickler
that makes nothing but plain data, times and zones: Celery's own classes are replaced by stand-ins that do nothing, and
a pickle that names anything else is not read at all.
"""

from __future__ import annotations

import dbm
import importlib
import io
import logging
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from celery_pyncette.core.due_times import EntryTimes
from celery_pyncette.core.instants import Instant, instant_of

logger = logging.getLogger(__name__)

_ENTRIES = b"entries"
_LARGEST = 64 * 1024 * 1024
_SQLITE = b"SQLite format 3\x00"
#: Names outside Celery that a schedule file may refer to; none of them does anything but make a value.
_VALUES = frozenset(
    {
        ("datetime", "datetime"),
        ("datetime", "date"),
        ("datetime", "time"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("zoneinfo", "ZoneInfo"),
        ("builtins", "set"),
        ("builtins", "frozenset"),
        ("decimal", "Decimal"),
        ("uuid", "UUID"),
        ("pytz", "_UTC"),
        ("pytz", "_p"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """The last runs by entry name; where there are none, ``reason`` says why. ``path`` is the file, if there is one."""

    last_runs: dict[str, Instant] = field(default_factory=dict)
    path: str | None = None
    reason: str | None = None


class NotReadable(Exception):
    """Why a file gives no seed, in a few words."""


def read_last_runs(path: str | Path) -> Seed:
    """What the schedule file at ``path`` says; never an error, a WARNING for a file that cannot be read.

    Stock beat's ``beat_schedule_filename`` is meant, under which the file may have a suffix such as ``.db``.
    """
    file = file_at(Path(path))
    if file is None:
        return Seed(reason="there is no schedule file")
    try:
        entries = load(value_of(Path(path), file))
    except NotReadable as problem:
        reason = str(problem)
    except Exception as error:  # noqa: BLE001 - a corrupt file may raise anything; it must not stop a beat
        reason = f"it cannot be read: {type(error).__name__}: {str(error)[:200]}"
    else:
        return Seed(last_runs=_last_runs(entries), path=str(file))
    logger.warning("seed_unreadable: %s: %s; entries start as if seen for the first time", file, reason)
    return Seed(path=str(file), reason=reason)


def seed_due(times: EntryTimes, last_run: Instant) -> Instant:
    """When an entry is due that ran last at ``last_run``: it may have passed, and catch-up decides then.

    An interval counts from its last run, as in stock beat.
    """
    return replace(times, frame=replace(times.frame, anchor=last_run)).next_after(last_run)


def file_at(path: Path) -> Path | None:
    """The file of a schedule, under the suffix that it has here; None if there is none."""
    names = [path, *(path.with_name(path.name + suffix) for suffix in (".db", ".dir", ".dat", ".pag"))]
    return next((name for name in names if name.is_file()), None)


def value_of(path: Path, file: Path) -> bytes:
    """The pickle of all entries."""
    with file.open("rb") as opened:
        head = opened.read(16)
    if head == _SQLITE:
        return _from_sqlite(file)
    kind = dbm.whichdb(str(path)) or dbm.whichdb(str(file))
    if not kind:
        raise NotReadable("it is no schedule file of a known kind")
    try:
        module = importlib.import_module(kind)
    except ImportError:
        raise NotReadable(f"it was written with {kind}, which this Python lacks") from None
    # "u": gdbm would lock it, and a stock beat that still runs holds the lock.
    with closing(module.open(str(path if kind != "dbm.gnu" else file), "ru" if kind == "dbm.gnu" else "r")) as shelf:
        return _checked(shelf.get(_ENTRIES))


def _from_sqlite(file: Path) -> bytes:
    """Python 3.13's ``dbm.sqlite3``; ``immutable`` takes no lock and leaves no journal."""
    uri = f"file:{quote(str(file.absolute()))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        row = connection.execute("SELECT value FROM Dict WHERE key = CAST(? AS BLOB)", (_ENTRIES,)).fetchone()
    return _checked(None if row is None else row[0])


def _checked(value: Any) -> bytes:
    if value is None:
        raise NotReadable("it holds no entries")
    data = bytes(value)
    if len(data) > _LARGEST:
        raise NotReadable(f"its entries take {len(data)} bytes, more than {_LARGEST}")
    return data


class StandIn:
    """In the place of any class or function of Celery: takes everything, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        pass

    def __hash__(self) -> int:
        return id(self)


class StandInEntry(StandIn):
    """In the place of ``celery.beat.ScheduleEntry``.

    ``args``: name, task, last_run_at, total_run_count, schedule, args, kwargs, options.
    """

    @property
    def last_run_at(self) -> Any:
        return self.args[2] if len(self.args) > 2 else None


class Unpickler(pickle.Unpickler):
    """Makes plain data, and stand-ins for what is Celery's.

    :raises NotReadable: for a pickle that names anything else.
    """

    def find_class(self, module: str, name: str) -> Any:
        if module == "celery.beat" and name == "ScheduleEntry":
            return StandInEntry
        if module.partition(".")[0] == "celery":
            return StandIn
        if (module, name) == ("builtins", "getattr"):
            return _getattr
        if (module, name) not in _VALUES:
            raise NotReadable(f"it refers to {module}.{name}, which is neither Celery's nor plain data")
        return _resolved(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise NotReadable("it refers to an object outside the file")


def _getattr(owner: Any, name: str) -> Any:
    """In the place of ``getattr``, which pickled zones call, and for no other use."""
    if owner is not ZoneInfo or name != "_unpickle":
        raise NotReadable(f"it asks for {name!r} of an object, which is neither Celery's nor plain data")
    return ZoneInfo._unpickle  # type: ignore[attr-defined]


def _resolved(module: str, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def load(data: bytes, unpickler: type[Unpickler] = Unpickler) -> dict[Any, Any]:
    """The entries of a pickle by name. :raises NotReadable: if it is another one."""
    entries = unpickler(io.BytesIO(data)).load()
    if not isinstance(entries, dict):
        raise NotReadable("its entries are no dict")
    return entries


def _last_runs(entries: dict[Any, Any]) -> dict[str, Instant]:
    runs = {}
    for name, entry in entries.items():
        last = last_run_of(entry.last_run_at) if isinstance(entry, StandInEntry) else None
        if isinstance(name, str) and last is not None:
            runs[name] = last
    return runs


def last_run_of(last: Any) -> Instant | None:
    """The instant of a last run; Celery reads a naive one as UTC. None for anything else."""
    if not isinstance(last, datetime):
        return None
    return instant_of(last if last.tzinfo is not None else last.replace(tzinfo=timezone.utc))

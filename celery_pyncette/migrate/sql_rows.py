"""The tables of another scheduler, read with plain SQL: nothing of it needs to be installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from celery_pyncette.core.errors import ConfigurationError, StoreUnavailable
from celery_pyncette.migrate.periodic_tasks import SCHEDULE_COLUMNS, TASK_COLUMNS, Row
from celery_pyncette.stores.sql.errors import translated
from celery_pyncette.stores.urls import mask

_TIMES = frozenset(("expires", "start_time", "last_run_at", "date_changed", "clocked_time"))
_FLAGS = frozenset(("one_off", "enabled"))
_BARE = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_MYSQL = {"mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}
#: Seconds until a server that does not answer counts as down.
_PATIENCE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the tables are, and how a task names its schedule.

    ``schedules``: kind -> table. ``named``: kind -> what the task's column ``discriminator`` says; without, the task
    has a column of its own for each kind.
    """

    tasks: str
    schedules: Mapping[str, str]
    named: Mapping[str, str] | None = None
    schema: str | None = None


def rows(url: str, layout: Layout) -> Iterator[tuple[Row, str | None]]:
    """Each task with its schedule, and the kind of that; None if it is gone.

    :raises StoreError: if the database cannot be read. :raises ConfigurationError: for a URL that is none.
    """
    shown = mask(url)
    engine = sa.create_engine(_url(url), connect_args=_arguments(url), poolclass=sa.pool.NullPool)
    query, kinds = _query(layout)
    with translated(shown), engine.connect() as connection:
        for row in connection.execution_options(yield_per=500).execute(query).mappings():
            kind = next((kind for kind in kinds if row[f"{kind}_id"] is not None), None)
            plain = {name: row[name] for name in TASK_COLUMNS}
            if kind is not None:
                plain |= {name: row[f"{kind}_{name}"] for name in SCHEDULE_COLUMNS[kind]}
            yield plain, kind


def _query(layout: Layout) -> tuple[sa.Select[Any], list[str]]:
    tasks = _table(layout.tasks, (*TASK_COLUMNS, "id", *_links(layout)), layout.schema)
    joined: Any = tasks
    columns: list[Any] = [tasks.c[name] for name in TASK_COLUMNS]
    kinds = list(layout.schedules)
    for kind in kinds:
        schedule = _table(layout.schedules[kind], ("id", *SCHEDULE_COLUMNS[kind]), layout.schema).alias(kind)
        if layout.named is None:
            matches = tasks.c[f"{kind}_id"] == schedule.c.id
        else:
            matches = sa.and_(tasks.c.schedule_id == schedule.c.id, tasks.c.discriminator == layout.named[kind])
        joined = joined.outerjoin(schedule, matches)
        columns.append(schedule.c.id.label(f"{kind}_id"))
        columns += [schedule.c[name].label(f"{kind}_{name}") for name in SCHEDULE_COLUMNS[kind]]
    return sa.select(*columns).select_from(joined).order_by(tasks.c.id), kinds


def _links(layout: Layout) -> list[str]:
    return [f"{kind}_id" for kind in layout.schedules] if layout.named is None else ["schedule_id", "discriminator"]


def _table(name: str, columns: tuple[str, ...], schema: str | None) -> Any:
    return sa.table(name, *(sa.column(column, _kind_of(column)) for column in columns), schema=schema)


def _kind_of(column: str) -> Any:
    if column in _TIMES:
        return sa.DateTime(timezone=True)
    return sa.Boolean() if column in _FLAGS else None


def _url(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(f"--source {mask(url)!r} is no URL of a database") from None
    parsed = parsed.set(drivername={**_BARE, **_MYSQL}.get(parsed.drivername, parsed.drivername))
    path = parsed.database or ""
    if parsed.drivername.startswith("sqlite") and not Path(path).is_file():
        raise StoreUnavailable(f"{mask(url)}: there is no such file")
    return parsed


def _arguments(url: str) -> dict[str, Any]:
    scheme = url.partition(":")[0]
    if scheme.startswith(("postgres", "mysql", "mariadb")):
        return {"connect_timeout": _PATIENCE}
    return {}

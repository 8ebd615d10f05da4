"""sqlalchemy-celery-beat 0.9, with plain SQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.core.instants import Instant
from celery_pyncette.migrate.imported import Imported
from celery_pyncette.migrate.periodic_tasks import SCHEDULE_COLUMNS, Habits, entry_of
from celery_pyncette.migrate.sql_rows import Layout, rows

HABITS = Habits(scheduler="sqlalchemy-celery-beat", counts_from_change=False, expires_ends=False, waits_for_match=False)
LAYOUT = Layout(
    tasks="celery_periodictask",
    schedules={kind: f"celery_{kind}schedule" for kind in SCHEDULE_COLUMNS},
    named={kind: f"{kind}schedule" for kind in SCHEDULE_COLUMNS},
)


def read(source: str | None, app: Any, now: Instant) -> Iterator[Imported]:
    """Every periodic task.

    :param source: the URL of the database; None: as the settings ``beat_dburi`` and ``beat_schema`` say.
    :raises ConfigurationError: without either. :raises StoreError: if it cannot be read.
    """
    url = source or app.conf.get("beat_dburi")
    if not url:
        raise ConfigurationError("beat_dburi is not set: say with --source which database sqlalchemy-celery-beat uses")
    for row, kind in rows(url, replace(LAYOUT, schema=app.conf.get("beat_schema"))):
        yield entry_of(row, kind, HABITS, app, now)

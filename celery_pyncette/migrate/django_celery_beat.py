"""django-celery-beat 2.x: through Django's ORM in a Django project, with plain SQL anywhere else."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from celery_pyncette.core.errors import ConfigurationError, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.migrate.imported import Imported
from celery_pyncette.migrate.periodic_tasks import SCHEDULE_COLUMNS, TASK_COLUMNS, Habits, Row, entry_of
from celery_pyncette.migrate.sql_rows import Layout, rows

HABITS = Habits(scheduler="django-celery-beat", counts_from_change=True, expires_ends=True, waits_for_match=True)
LAYOUT = Layout(
    tasks="django_celery_beat_periodictask",
    schedules={kind: f"django_celery_beat_{kind}schedule" for kind in SCHEDULE_COLUMNS},
)


def read(source: str | None, app: Any, now: Instant) -> Iterator[Imported]:
    """Every periodic task.

    :param source: the URL of the database; None: the one of this Django project.
    :raises ConfigurationError: without either. :raises StoreError: if it cannot be read.
    """
    found = _rows_of_project() if source is None else rows(source, LAYOUT)
    for row, kind in found:
        yield entry_of(row, kind, HABITS, app, now)


def _rows_of_project() -> Iterator[tuple[Row, str | None]]:
    model, error = _model()
    links = [f"{kind}_id" for kind in SCHEDULE_COLUMNS]
    joined = [f"{kind}__{name}" for kind, names in SCHEDULE_COLUMNS.items() for name in names]
    try:
        for row in model.objects.order_by("pk").values(*TASK_COLUMNS, *links, *joined).iterator(chunk_size=500):
            kind = next((kind for kind in SCHEDULE_COLUMNS if row[f"{kind}_id"] is not None), None)
            plain = {name: row[name] for name in TASK_COLUMNS}
            if kind is not None:
                plain |= {name: row[f"{kind}__{name}"] for name in SCHEDULE_COLUMNS[kind]}
            yield plain, kind
    except error as problem:
        raise StoreUnavailable(f"django-celery-beat's tables cannot be read: {problem}") from problem


def _model() -> tuple[Any, type[Exception]]:
    """The model of the project that is set up in this process, and the root of its database errors."""
    try:
        apps = importlib.import_module("django.apps").apps
        error = importlib.import_module("django.db").Error
    except ImportError:
        raise ConfigurationError(
            "Django is not installed here: say with --source which database django-celery-beat uses, as in "
            "postgresql://user@host/name"
        ) from None
    if not apps.ready or not apps.is_installed("django_celery_beat"):
        raise ConfigurationError(
            "this app has set up no Django project with django_celery_beat in INSTALLED_APPS: say with --source which "
            "database it uses, as in postgresql://user@host/name"
        )
    return apps.get_model("django_celery_beat", "PeriodicTask"), error

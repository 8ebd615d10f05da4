"""What a command works with: the app as a beat would load it, its entries, its store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from celery_pyncette.aware import gate_assumed, why_unheard
from celery_pyncette.core.errors import ConfigurationError, PyncetteError, SchemaMismatch, StoreNotConfigured
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.runtime import Runtime
from celery_pyncette.settings import Settings
from celery_pyncette.stores.files import sqlite_path
from celery_pyncette.stores.protocol import Store
from celery_pyncette.translate import StaticEntry, translate_all

#: The file that beats make beside their schedule file when no store is configured.
DEFAULT_FILE = "celerybeat-pyncette.sqlite3"


class Session:
    """One command's view of one app.

    ``entries`` are the static entries that can be read, ``definitions`` what they mean, ``rejected`` the others.

    :param schedule: of ``-s``; it counts only where ``pyncette_store_url`` is unset.
    :raises ConfigurationError: if the app cannot be loaded, or for a wrong setting.
    """

    def __init__(self, app: Any, schedule: str | None = None) -> None:
        _load(app)
        settings = Settings.of(app)
        default = None if settings.store_url or schedule is None else default_store_url(schedule)
        self.app = app
        self.settings = settings
        self.runtime = Runtime(app, store_url=default)
        self.entries: Mapping[str, StaticEntry]
        self.entries, unreadable = translate_all(app)
        self.definitions = StaticDefinitions(
            app, settings, self.entries, gated=gate_assumed(app), why_unheard=partial(why_unheard, app)
        )
        self.rejected: Mapping[str, PyncetteError] = {**unreadable, **self.definitions.rejected}

    @property
    def store_name(self) -> str | None:
        """The store's URL without its secrets; None if there is none."""
        return None if self.runtime.store_url is None else self.runtime.store_name

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """The store, to be asked within the clients' time-out; nothing is ever created in it.

        :raises StoreNotConfigured: without a URL. :raises SchemaMismatch: also for an SQLite file that is not there.
        """
        if self.runtime.store_url is None:
            raise StoreNotConfigured(
                "pyncette_store_url is not set: set it, or say with -s which schedule file the beats were given, as to "
                "`celery beat -s`"
            )
        path = sqlite_path(self.runtime.store_url)
        if path is not None and not path.exists():
            raise SchemaMismatch(f"{self.runtime.store_name}: there is no such file; the first beat makes it")
        store = self.runtime.open_store()
        try:
            yield store
        except SchemaMismatch as error:
            if self.runtime.store_name in str(error):
                raise
            raise SchemaMismatch(f"{self.runtime.store_name}: {error}") from error
        finally:
            store.close()


def default_store_url(schedule: str) -> str:
    """Where a beat that was started with ``-s`` keeps its records."""
    return f"sqlite:///{Path(schedule).resolve().parent / DEFAULT_FILE}"


def _load(app: Any) -> None:
    """Import what a beat imports, so that entries and tasks that are added there are seen."""
    try:
        app.loader.import_default_modules()
        app.finalize()
    except PyncetteError:
        raise
    except Exception as error:
        raise ConfigurationError(f"the app cannot be loaded: {type(error).__name__}: {error}") from error

"""Beats and commands mean the same file when no store is configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from celery_pyncette.beat import default_store
from celery_pyncette.cli.session import default_store_url
from celery_pyncette.core.errors import StoreNotConfigured
from celery_pyncette.stores.files import sqlite_path


@pytest.mark.parametrize("schedule", ["celerybeat-schedule", "state/schedule", "../up", "/var/lib/beat/schedule"])
def test_the_url_is_the_beats(schedule: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert default_store_url(schedule) == default_store.default_store_url(schedule)


def test_the_file_of_a_url():
    assert sqlite_path("sqlite:////var/lib/x.sqlite3") == Path("/var/lib/x.sqlite3")
    assert sqlite_path("sqlite+pysqlite:///x.sqlite3?timeout=3") == Path("x.sqlite3")
    assert sqlite_path("redis://host/0") is None
    assert sqlite_path("unix:///run/redis.sock") is None


def test_in_a_pod_there_is_no_default(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(StoreNotConfigured, match="Set pyncette_store_url"):
        default_store.default_store_url("celerybeat-schedule")

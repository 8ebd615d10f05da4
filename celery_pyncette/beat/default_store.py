"""Where a beat keeps its records when nobody said: an SQLite file beside stock beat's, for one host only."""

from __future__ import annotations

import os
from pathlib import Path

from celery_pyncette.core.errors import StoreNotConfigured

FILE_NAME = "celerybeat-pyncette.sqlite3"


def default_store_url(schedule_filename: str) -> str:
    """The URL of the file in the directory of ``-s`` / ``beat_schedule_filename``; never that file itself.

    :raises StoreNotConfigured: under Kubernetes, where no two pods share a directory.
    """
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise StoreNotConfigured(
            "pyncette_store_url is not set, and this is a Kubernetes pod: its default, a file beside the schedule "
            "file, would be lost with the pod and doubled by the next. Set pyncette_store_url to a server, or to "
            "sqlite:///<path on a volume> if one beat is all there will ever be"
        )
    return f"sqlite:///{Path(schedule_filename).resolve().parent / FILE_NAME}"


def warning(store_name: str) -> str:
    """What is logged at each start."""
    return (
        f"pyncette_store_url is not set: using {store_name}, which beats of this host and directory share. A beat on a "
        "second host would double every run: set pyncette_store_url there and here"
    )

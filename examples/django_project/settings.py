"""Settings of the example project; everything for Celery and this package stands behind ``CELERY_``."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(os.environ.get("DJANGO_PROJECT_DATA") or Path(__file__).parent)
QUEUE = HERE / "queue"
QUEUE.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "only an example"
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "site.sqlite3"}}

# Messages in a directory, so that the example needs no server.
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(QUEUE),
    "data_folder_out": str(QUEUE),
    "control_folder": str(HERE / "control"),
    "polling_interval": 0.1,
}
CELERY_BEAT_SCHEDULE = {"tidy": {"task": "shop.tasks.tidy", "schedule": 3600.0}}

# The store is in the database of this alias: what is scheduled within `atomic` is a part of the transaction.
CELERY_PYNCETTE_STORE_URL = "django://default"
CELERY_PYNCETTE_POLL_INTERVAL = 0.2

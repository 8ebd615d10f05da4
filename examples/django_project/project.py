"""The Celery app: ``celery -A project beat -S pyncette``, ``celery -A project worker``."""

from __future__ import annotations

import os

from celery import Celery

from celery_pyncette import Pyncette

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
app = Celery("project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
Pyncette(app)

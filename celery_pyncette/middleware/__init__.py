"""Code around every run of a task: context managers that cannot fail silently, as signal handlers do.

Define them with ``Pyncette(app).middleware``.
"""

from __future__ import annotations

from celery_pyncette.middleware.runs import TaskRun
from celery_pyncette.middleware.skipping import Skip, skip_if

__all__ = ["Skip", "TaskRun", "skip_if"]

"""Code around every run of a task and every dispatch of an entry: context managers that cannot fail silently, as
signal handlers do.

Define them with ``Pyncette(app).middleware`` and ``Pyncette(app).dispatch_middleware``.
"""

from __future__ import annotations

from celery_pyncette.middleware.dispatches import Dispatch
from celery_pyncette.middleware.runs import TaskRun
from celery_pyncette.middleware.skipping import Skip, skip_if

__all__ = ["Dispatch", "Skip", "TaskRun", "skip_if"]

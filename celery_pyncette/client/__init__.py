"""Entries at run time: scheduled, steered and looked at from any process; see ``calls.py``."""

from celery_pyncette.client.calls import (
    BulkError,
    BulkResult,
    Preview,
    TaskPage,
    TaskState,
    get_task,
    list_tasks,
    pause_task,
    preview_schedule,
    resume_task,
    run_task_now,
    schedule_task,
    schedule_tasks,
    unschedule_task,
)
from celery_pyncette.client.committing import after_commit

__all__ = [
    "BulkError",
    "BulkResult",
    "Preview",
    "TaskPage",
    "TaskState",
    "after_commit",
    "get_task",
    "list_tasks",
    "pause_task",
    "preview_schedule",
    "resume_task",
    "run_task_now",
    "schedule_task",
    "schedule_tasks",
    "unschedule_task",
]

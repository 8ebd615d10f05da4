"""Entries at run time: scheduled, steered and looked at from any process."""

from celery_pyncette.client.bulk import BulkError, BulkResult
from celery_pyncette.client.committing import after_commit
from celery_pyncette.client.existing import get_task, list_tasks, pause_task, resume_task, run_task_now
from celery_pyncette.client.finding import TaskPage
from celery_pyncette.client.previewing import preview_schedule
from celery_pyncette.client.scheduling import schedule_task, schedule_tasks, unschedule_task
from celery_pyncette.previews import Preview
from celery_pyncette.task_state import TaskState

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

"""Many beats, one schedule: leased, result-aware periodic and delayed tasks for Celery.

The names below are loaded when they are first used; importing the package loads nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery_pyncette.beat.scheduler import Scheduler as Scheduler
    from celery_pyncette.client import Preview as Preview
    from celery_pyncette.client import TaskPage as TaskPage
    from celery_pyncette.client import TaskState as TaskState
    from celery_pyncette.client import after_commit as after_commit
    from celery_pyncette.client import get_task as get_task
    from celery_pyncette.client import list_tasks as list_tasks
    from celery_pyncette.client import pause_task as pause_task
    from celery_pyncette.client import preview_schedule as preview_schedule
    from celery_pyncette.client import resume_task as resume_task
    from celery_pyncette.client import run_task_now as run_task_now
    from celery_pyncette.client import schedule_task as schedule_task
    from celery_pyncette.client import schedule_tasks as schedule_tasks
    from celery_pyncette.client import unschedule_task as unschedule_task
    from celery_pyncette.core.errors import AppNotChosen as AppNotChosen
    from celery_pyncette.core.errors import ConfigurationError as ConfigurationError
    from celery_pyncette.core.errors import InvalidEntry as InvalidEntry
    from celery_pyncette.core.errors import LeaseLost as LeaseLost
    from celery_pyncette.core.errors import PyncetteError as PyncetteError
    from celery_pyncette.core.errors import StoreNotConfigured as StoreNotConfigured
    from celery_pyncette.core.errors import StoreUnavailable as StoreUnavailable
    from celery_pyncette.core.errors import WrongDatabase as WrongDatabase
    from celery_pyncette.core.policies import CatchUp as CatchUp
    from celery_pyncette.core.policies import Delivery as Delivery
    from celery_pyncette.core.policies import OnFailure as OnFailure
    from celery_pyncette.core.policies import Overlap as Overlap
    from celery_pyncette.core.policies import Policy as Policy
    from celery_pyncette.core.records import EntrySpec as EntrySpec
    from celery_pyncette.core.schedules import Cron as Cron
    from celery_pyncette.core.schedules import Every as Every
    from celery_pyncette.core.schedules import Once as Once
    from celery_pyncette.delayed import DelayedCounts as DelayedCounts
    from celery_pyncette.delayed import DelayedPage as DelayedPage
    from celery_pyncette.delayed import DelayedState as DelayedState
    from celery_pyncette.delayed import cancel_delayed as cancel_delayed
    from celery_pyncette.delayed import count_delayed as count_delayed
    from celery_pyncette.delayed import get_delayed as get_delayed
    from celery_pyncette.delayed import list_delayed as list_delayed
    from celery_pyncette.delayed import move_delayed as move_delayed
    from celery_pyncette.extension import Pyncette as Pyncette
    from celery_pyncette.fixtures import current_fixtures as current_fixtures
    from celery_pyncette.worker.occurrence import current_occurrence as current_occurrence
    from celery_pyncette.worker.occurrence import heartbeat as heartbeat
    from celery_pyncette.worker.occurrence import lease_lost as lease_lost

__version__ = "0.1.0.dev0"

_ERRORS = "celery_pyncette.core.errors"
_POLICIES = "celery_pyncette.core.policies"
_SCHEDULES = "celery_pyncette.core.schedules"
_OCCURRENCE = "celery_pyncette.worker.occurrence"
_CLIENT = "celery_pyncette.client"
_DELAYED = "celery_pyncette.delayed"
_HOMES = {
    "Scheduler": "celery_pyncette.beat.scheduler",
    "Pyncette": "celery_pyncette.extension",
    "heartbeat": _OCCURRENCE,
    "lease_lost": _OCCURRENCE,
    "current_fixtures": "celery_pyncette.fixtures",
    "current_occurrence": _OCCURRENCE,
    "EntrySpec": "celery_pyncette.core.records",
    "Policy": _POLICIES,
    "Delivery": _POLICIES,
    "CatchUp": _POLICIES,
    "Overlap": _POLICIES,
    "OnFailure": _POLICIES,
    "Cron": _SCHEDULES,
    "Every": _SCHEDULES,
    "Once": _SCHEDULES,
    "Preview": _CLIENT,
    "TaskPage": _CLIENT,
    "TaskState": _CLIENT,
    "after_commit": _CLIENT,
    "get_task": _CLIENT,
    "list_tasks": _CLIENT,
    "pause_task": _CLIENT,
    "preview_schedule": _CLIENT,
    "resume_task": _CLIENT,
    "run_task_now": _CLIENT,
    "schedule_task": _CLIENT,
    "schedule_tasks": _CLIENT,
    "unschedule_task": _CLIENT,
    "DelayedCounts": _DELAYED,
    "DelayedPage": _DELAYED,
    "DelayedState": _DELAYED,
    "cancel_delayed": _DELAYED,
    "count_delayed": _DELAYED,
    "get_delayed": _DELAYED,
    "list_delayed": _DELAYED,
    "move_delayed": _DELAYED,
    "AppNotChosen": _ERRORS,
    "ConfigurationError": _ERRORS,
    "InvalidEntry": _ERRORS,
    "LeaseLost": _ERRORS,
    "PyncetteError": _ERRORS,
    "StoreNotConfigured": _ERRORS,
    "StoreUnavailable": _ERRORS,
    "WrongDatabase": _ERRORS,
}

__all__ = [*_HOMES]  # noqa: PLE0604 - one list of names, not two


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

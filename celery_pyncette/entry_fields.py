"""The fields of an entry that stand for themselves, read one by one; see ``schedule_task`` for what each means."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

from celery import Task

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.policies import Policy
from celery_pyncette.core.schedules import Jitter
from celery_pyncette.entry_checks import check_name, plain


def task_name(task: object, allowed: tuple[str, ...] | None) -> str:
    """The name of a task, or of a task object, if it is allowed. :raises InvalidEntry: for field ``task``."""
    name = check_name("task", task.name if isinstance(task, Task) else task)
    if allowed is not None and not any(fnmatchcase(name, pattern) for pattern in allowed):
        raise InvalidEntry("task", name, "pyncette_allowed_tasks does not name it")
    return name


def args_of(given: object) -> list[Any]:
    """A list of JSON. :raises InvalidEntry: for anything else."""
    if given is None or given == ():
        return []
    if not isinstance(given, (list, tuple)):
        raise InvalidEntry("args", given, "must be a list or tuple")
    args: list[Any] = plain("args", given)
    return args


def kwargs_of(given: object) -> dict[str, Any]:
    """A dict of JSON. :raises InvalidEntry: for anything else."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidEntry("kwargs", given, "must be a dict")
    kwargs: dict[str, Any] = plain("kwargs", given)
    return kwargs


def max_runs_of(given: object, once: bool) -> int | None:
    """A whole number; None for one that is ``once`` anyway. :raises InvalidEntry: for anything else."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given < 2**53:
        raise InvalidEntry("max_runs", given, "must be a whole number of at least 1")
    if once and given != 1:
        raise InvalidEntry("max_runs", given, "execute_at is one run")
    return None if once else given


def jitter_of(given: Any) -> Jitter | None:
    """A ``Jitter``, or what makes one. :raises InvalidEntry: for anything else."""
    return given if given is None or isinstance(given, Jitter) else Jitter(given)


def policy_of(given: Any, field: str = "policy") -> Policy | None:
    """A ``Policy``, or a dict of its fields; None for one that says nothing. :raises InvalidEntry: naming ``field``."""
    if isinstance(given, Mapping):
        known = [one.name for one in fields(Policy)]
        for name, value in given.items():
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
                raise InvalidEntry(f"{field}.{name}", value, f"is no field of a policy{hint}")
        given = Policy(**given)
    if given is not None and not isinstance(given, Policy):
        raise InvalidEntry(field, given, "must be a Policy or a dict of its fields")
    if given is not None and given.ping is not None:
        raise InvalidEntry(f"{field}.ping", given.ping, "is accepted in pyncette_policies only: beats call these URLs")
    return given if given is not None and given.given() else None

"""The client calls as methods of ``Pyncette(app)``: for its app, whatever other apps there are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Generic, ParamSpec, TypeVar, overload

from celery import Celery

from celery_pyncette.client import existing, previewing, scheduling
from celery_pyncette.core.errors import AppNotChosen

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class _Method(Generic[Given, Answer]):
    """A call with ``app`` filled in; looked up on the class, the call itself."""

    def __init__(self, call: Callable[Given, Answer]) -> None:
        self._call = call
        self.__doc__ = call.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[Given, Answer]: ...

    @overload
    def __get__(self, instance: Calls, owner: type) -> Callable[Given, Answer]: ...

    def __get__(self, instance: Calls | None, owner: type) -> Callable[Given, Answer]:
        if instance is None:
            return self._call
        if instance.app is None:
            raise AppNotChosen("this Pyncette() has no app yet: call its init_app(app) first")
        return update_wrapper(partial(self._call, app=instance.app), self._call)


class Calls:
    """What to inherit from: each method is the function of its name, for this app. ``app=`` still names another."""

    app: Celery | None

    schedule_task = _Method(scheduling.schedule_task)
    schedule_tasks = _Method(scheduling.schedule_tasks)
    unschedule_task = _Method(scheduling.unschedule_task)
    get_task = _Method(existing.get_task)
    list_tasks = _Method(existing.list_tasks)
    pause_task = _Method(existing.pause_task)
    resume_task = _Method(existing.resume_task)
    run_task_now = _Method(existing.run_task_now)
    preview_schedule = _Method(previewing.preview_schedule)

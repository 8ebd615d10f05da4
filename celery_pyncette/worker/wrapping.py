"""Gate and middlewares put around a task: around ``__call__`` of its class, and its ``before_start`` if it has one."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.fixtures.asking import Asks, as_callers_see
from celery_pyncette.fixtures.lives import value_of
from celery_pyncette.worker.celery_internals import is_stock
from celery_pyncette.worker.fixtures import asks_of_task
from celery_pyncette.worker.gate import pass_gate
from celery_pyncette.worker.middlewares import begin_within, work_within

#: Set on the functions that are put in place: whether there is a ``__call__`` of the user's behind it.
_CUSTOM = "pyncette_custom"
_DONE = "_pyncette_gated"


def put_gate(cls: type) -> bool:
    """Change a task class, once; whether it was changed now."""
    if is_stock(cls) or _DONE in cls.__dict__:
        return False
    asks = _asks(cls)
    custom_call = _has_custom(cls, "__call__")
    custom_start = _has_custom(cls, "before_start")
    setattr(cls, "__call__", _call(cls, custom_call, asks))  # noqa: B010 - mypy allows no assignment to a method
    if custom_start:
        setattr(cls, "before_start", _before_start(cls))  # noqa: B010
    setattr(cls, _DONE, True)
    return True


def _asks(cls: Any) -> Asks | None:
    """What it asks for, which is kept from callers. With what cannot be injected no worker starts."""
    try:
        asks = asks_of_task(cls)
    except ConfigurationError:
        return None
    if asks is not None and "__header__" in cls.__dict__:
        function = inspect.unwrap(inspect.getattr_static(cls, "run"))
        cls.__header__ = cls.app.type_checker(as_callers_see(function, bound=asks.bound), bound=asks.bound)
    return asks


def _has_custom(cls: type, name: str) -> bool:
    """Whether a class other than Celery's own defines it, and not only we."""
    found = (parent.__dict__.get(name) for parent in cls.__mro__ if not is_stock(parent))
    return any(function is not None and getattr(function, _CUSTOM, True) for function in found)


def _call(cls: Any, custom: bool, asks: Asks | None) -> Any:
    own = cls.__dict__.get("__call__")

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = self.request_stack.top
        if request is not None and not request.called_directly:
            passed = pass_gate(self, request)
            first, passed.called = not passed.called, True
            if first:
                work = partial(users_call, self) if custom else self.run  # as the tracer does by itself
                if asks is not None:
                    work = partial(_injected, asks, work)
                return work_within(self, request, passed, work, args, kwargs)
        if asks is not None:
            args, kwargs = asks.fill(args, kwargs, value_of)
        return users_call(self, *args, **kwargs)

    def users_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if own is not None:
            return own(self, *args, **kwargs)
        return super(cls, self).__call__(*args, **kwargs)

    setattr(call, _CUSTOM, custom)
    return call


def _injected(asks: Asks, work: Any, *args: Any, **kwargs: Any) -> Any:
    """A task with the arguments of its message, and its fixtures."""
    asks.refuse_given(kwargs)
    args, kwargs = asks.fill(args, kwargs, value_of)
    return work(*args, **kwargs)


def _before_start(cls: Any) -> Any:
    own = cls.__dict__.get("before_start")

    def before_start(self: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        request = self.request_stack.top
        if request is None or request.called_directly:
            return users_start(self, task_id, args, kwargs)
        passed = pass_gate(self, request)
        return begin_within(self, request, passed, partial(users_start, self, task_id, args, kwargs))

    def users_start(self: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        if own is not None:
            return own(self, task_id, args, kwargs)
        return super(cls, self).before_start(task_id, args, kwargs)

    setattr(before_start, _CUSTOM, True)
    return before_start

"""What a user hands in as a middleware, read into something that can be entered and left."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.given import function_of, name_of, refuse_async
from celery_pyncette.middleware.filters import Filter
from celery_pyncette.middleware.generators import generated
from celery_pyncette.origins import defining_module

Make = Callable[[Any], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Middleware:
    """Its name for errors, what makes its context manager, what it is for, the module that defines it."""

    name: str
    make: Make
    filter: Filter
    module: str

    @property
    def label(self) -> str:
        """What it is called in every process of the app."""
        return f"{self.module}:{self.name}"


def read_middleware(given: Any, filter: Filter) -> Middleware:  # noqa: A002 - what it is
    """A generator function, or anything that answers a context manager, of one argument.

    :raises ConfigurationError: for what is none of these, and for what is asynchronous.
    """
    name = name_of(given)
    refuse_async("middleware", name, given)
    if not callable(given):
        raise ConfigurationError(
            f"middleware {name}: a generator function with one yield, or a callable that answers a context manager"
        )
    _check_argument(name, given)
    make: Make = generated(given) if _is_generator(given) else given
    return Middleware(name=name, make=make, filter=filter, module=defining_module())


def entered(middleware: Middleware, what: Any) -> AbstractContextManager[Any]:
    """Make and enter it.

    :raises ConfigurationError: if it is no context manager, or did not yield.
    """
    manager = middleware.make(what)
    if not hasattr(manager, "__exit__"):
        refuse_async("middleware", middleware.name, manager)
        raise ConfigurationError(
            f"middleware {middleware.name} answered {type(manager).__name__}, which is no context manager"
        )
    try:
        manager.__enter__()
    except RuntimeError as error:
        if str(error) != "generator didn't yield":
            raise
        raise ConfigurationError(
            f"middleware {middleware.name} ended before its yield; raise Skip to keep from happening what it is around"
        ) from None
    return manager


def _is_generator(given: Any) -> bool:
    return inspect.isgeneratorfunction(function_of(given))


def _check_argument(name: str, given: Any) -> None:
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):
        return  # written in C
    try:
        signature.bind(object())
    except TypeError:
        raise ConfigurationError(
            f"middleware {name}{signature}: it is called with one argument, what it is around"
        ) from None

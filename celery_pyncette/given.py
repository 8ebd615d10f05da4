"""What users hand in to be called by us: its name for errors, and what it may not be."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from celery_pyncette.core.errors import ConfigurationError

#: What ends a process, or a generator, on purpose. All else that users' code raises has failed, ``CancelledError`` too,
#: which an ``asyncio.run()`` may let out and which is no ``Exception``.
STOPS = (SystemExit, KeyboardInterrupt, GeneratorExit)


def name_of(given: Any) -> str:
    """What an error calls it."""
    return str(getattr(given, "__qualname__", None) or type(given).__qualname__)


def function_of(given: Any) -> Any:
    """What is called when it is called, for the questions of ``inspect``."""
    while isinstance(given, functools.partial):
        given = given.func
    if inspect.isroutine(given) or inspect.isclass(given):
        return given
    return getattr(given, "__call__", given)  # noqa: B004 - it is that method which is looked at


def refuse_async(kind: str, name: str, given: Any) -> None:
    """:raises ConfigurationError: for a coroutine function, an async generator, an async context manager."""
    function = function_of(inspect.unwrap(given) if callable(given) else given)
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if asynchronous or (hasattr(given, "__aenter__") and not hasattr(given, "__enter__")):
        raise ConfigurationError(
            f"{kind} {name} is asynchronous. Celery runs tasks without an event loop, so a loop of ours would be "
            "another one than that of the code within; write a plain generator, and call asyncio.run() in it where "
            "you need to"
        )

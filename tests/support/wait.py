"""Waiting for a condition with a deadline: what tests do instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    deadline: float = 10.0,
    message: str | Callable[[], str] = "",
    *,
    every: float = 0.02,
    swallow: tuple[type[BaseException], ...] = (),
) -> T:
    """Poll until the condition is true and return its value; AssertionError after `deadline` seconds.

    `message` (or what it returns) is appended to the error. Exceptions of the types in `swallow` count as "not yet",
    and the last of them is shown in the error.
    """
    end = time.monotonic() + deadline
    last: BaseException | None = None
    while True:
        try:
            value = condition()
        except swallow as error:
            last = error
        else:
            if value:
                return value
        if time.monotonic() >= end:
            break
        time.sleep(every)
    said = message() if callable(message) else message
    because = f" (last: {last!r})" if last is not None else ""
    raise AssertionError(f"still not so after {deadline:g} s: {said or condition}{because}") from last


def stays(condition: Callable[[], object], seconds: float, message: str = "", *, every: float = 0.05) -> None:
    """Assert that the condition holds at every look during `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), message or f"no longer so: {condition}"
        time.sleep(every)

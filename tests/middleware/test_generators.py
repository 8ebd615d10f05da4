"""A generator as a context manager does in each case what ``contextlib`` does."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from celery_pyncette.middleware.generators import generated


def passes(did: list[str]) -> Generator[None, None, None]:
    try:
        yield
    finally:
        did.append("left")


def swallows(did: list[str]) -> Generator[None, None, None]:
    try:
        yield
    except BaseException as error:
        did.append(type(error).__name__)


def translates(did: list[str]) -> Generator[None, None, None]:
    try:
        yield
    except Exception as error:
        raise LookupError("another") from error


def fails_at_its_end(did: list[str]) -> Generator[None, None, None]:
    yield
    raise ValueError("at its end")


def fails_at_its_begin(did: list[str]) -> Generator[None, None, None]:
    raise ValueError("at its begin")
    yield


def never_yields(did: list[str]) -> Generator[None, None, None]:
    if did == ["never"]:
        yield


def yields_twice(did: list[str]) -> Generator[None, None, None]:
    try:
        yield
    except KeyError:
        did.append("seen")
    try:
        yield
    finally:
        did.append("closed")


def told(make: Callable[[Any], Any], error: BaseException | None) -> tuple[Any, ...]:
    did: list[str] = []
    try:
        with make(did):
            did.append("within")
            if error is not None:
                raise error
    except BaseException as raised:
        kind = type(raised).__name__
        return did, kind, str(raised), type(raised.__cause__).__name__, raised is error
    return (did,)


ERRORS = [None, KeyError("k"), StopIteration("s"), RuntimeError("r"), SystemExit(), GeneratorExit()]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize(
    "function",
    [passes, swallows, translates, fails_at_its_end, fails_at_its_begin, never_yields, yields_twice],
    ids=lambda function: function.__name__,
)
def test_it_does_what_contextlib_does(function: Any, error: BaseException | None):
    assert told(generated(function), error) == told(contextmanager(function), error)


def test_a_traceback_does_not_grow_by_passing_through():
    error = KeyError("k")
    lengths = []
    for make in (generated(passes), contextmanager(passes)):
        with pytest.raises(KeyError) as caught, make([]):
            raise error.with_traceback(None)
        lengths.append(len(caught.traceback))
    assert lengths[0] == lengths[1]

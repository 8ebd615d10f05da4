"""A generator as a context manager, as ``contextlib.contextmanager`` makes one, at a third of its cost."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any


class Generated:
    """Up to its ``yield`` on entering, from there to its end on leaving."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Generator[Any, None, Any]) -> None:
        self._generator = generator

    def __enter__(self) -> Any:
        """:raises RuntimeError: if it ends without a ``yield``; the text is that of ``contextlib``."""
        for value in self._generator:
            return value
        raise RuntimeError("generator didn't yield")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Whether it has swallowed the error. :raises RuntimeError: if it goes on to another ``yield``."""
        if error is None:
            for _ in self._generator:
                self._generator.close()
                raise RuntimeError("generator didn't stop")
            return False
        try:
            self._generator.throw(error)
        except StopIteration as stop:
            return stop is not error
        except BaseException as raised:
            error.__traceback__ = traceback
            # Python itself makes a RuntimeError of a StopIteration that passes through a generator.
            through = isinstance(error, StopIteration) and raised.__cause__ is error
            if raised is error or (through and isinstance(raised, RuntimeError)):
                return False
            raise
        self._generator.close()
        raise RuntimeError("generator didn't stop after throw()")


def generated(function: Callable[[Any], Generator[Any, None, Any]]) -> Callable[[Any], Generated]:
    """What makes such a context manager of each call of a generator function."""
    return lambda what: Generated(function(what))

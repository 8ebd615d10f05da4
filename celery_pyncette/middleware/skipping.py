"""How a middleware keeps something from happening, on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from celery.exceptions import Ignore


class Skip(Ignore):  # type: ignore[misc]
    """Raised by a middleware instead of a ``yield``: the run is not to be, and that is no failure.

    Around a task it is an ``Ignore`` to Celery: the message is acknowledged, no result is stored. A result-aware run
    ends as *skipped*. Around a dispatch no message is sent, and the occurrence is skipped, reason ``vetoed``.

    :param reason: said in the log and in the history of the entry, at most 200 characters of it.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        # A name of a file may be no UTF-8, and would be what no store can write.
        self.reason = str(reason).encode(errors="backslashreplace").decode()[:200]


def skip_if(predicate: Callable[[Any], object], reason: str = "") -> Callable[[Any], Iterator[None]]:
    """A middleware that skips what ``predicate`` is true of.

    ::

        pyncette.middleware(skip_if(lambda run: in_maintenance(), "maintenance"), scheduled=True)

    :param predicate: is given the :class:`TaskRun`, around a dispatch the :class:`Dispatch`.
    """

    def skip(what: Any) -> Iterator[None]:
        if predicate(what):
            raise Skip(reason or getattr(predicate, "__name__", "predicate"))
        yield

    return skip

"""Calls of the store from Flower: in threads of their own, so that neither Flower's loop nor its pool waits for one."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tornado.web import HTTPError

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry, PyncetteError

T = TypeVar("T")

#: So many calls at a time; each is bounded by the clients' time-out of the store.
_THREADS = 4


class NoSuchEntry(PyncetteError):
    """There is no entry, or no parked message, of that name."""


class TooLate(PyncetteError):
    """It cannot be undone any more."""


class Untold(PyncetteError):
    """It is done, and not all who should know could be told."""


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="pyncette-flower")


async def ask(call: Callable[..., T], *args: Any, **named: Any) -> T:
    """What a blocking call answers. Its errors are its own."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), functools.partial(call, *args, **named))


def refusal(error: PyncetteError) -> HTTPError:
    """The HTTP error that says what a call could not do: 404, 409, 400, or 503 if the store is the trouble."""
    match error:
        case NoSuchEntry():
            return HTTPError(404, str(error))
        case TooLate():
            return HTTPError(409, str(error))
        case InvalidEntry():
            return HTTPError(400, str(error))
        case ConfigurationError():
            return HTTPError(500, str(error))
        case _:
            return HTTPError(503, str(error))

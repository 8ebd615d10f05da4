"""The middlewares around a dispatch: inside of what wraps ``apply_entry``, around Celery's ``apply_async``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery_pyncette.beat.entry import OccurrenceEntry
from celery_pyncette.core.errors import ConfigurationError, PyncetteError
from celery_pyncette.core.records import Lane
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.given import STOPS
from celery_pyncette.middleware.chain import Chain, Entered
from celery_pyncette.middleware.dispatches import Dispatch
from celery_pyncette.middleware.registry import middlewares_of
from celery_pyncette.middleware.skipping import Skip
from celery_pyncette.occurrence import CurrentOccurrence, moment

logger = logging.getLogger(__name__)

#: Options that would be another way to the broker than the beat's own.
_NOT_TO_SET = ("connection", "producer", "publisher")


class Vetoed(PyncetteError):
    """A middleware raised ``Skip``: the message is not to be sent, now or later."""


class NotSent(PyncetteError):
    """A middleware failed before the message was begun: certainly not sent, and to be tried again."""


def chain_of(app: Any) -> Chain | None:
    """The middlewares around the dispatches of an app; None if there are none."""
    middlewares = middlewares_of(app)
    return None if middlewares is None or not len(middlewares.dispatches) else middlewares.dispatches


def is_watched(app: Any, message: Outgoing) -> bool:
    """Whether a middleware may want to be around this message. Parked ones are finished messages of somebody else's."""
    chain = chain_of(app)
    return chain is not None and message.record.lane is not Lane.DELAYED and bool(chain.candidates(message.spec.task))


def send_within(app: Any, entry: OccurrenceEntry, send: Callable[[], Any]) -> Any:
    """Send an entry, within the middlewares. They are left when the broker has answered.

    :raises Vetoed: if one of them did not want it sent.
    :raises NotSent: if one of them failed before its ``yield``, or set what it must not.
    """
    chain = chain_of(app)
    if chain is None or not chain.candidates(entry.task):
        return send()
    entered = Entered()
    try:
        chain.enter(_dispatch(app, entry), entered)
        _check(entry)
    except STOPS as stop:
        _leave(entry, entered, stop)
        raise
    except BaseException as error:
        _leave(entry, entered, error)
        if isinstance(error, Skip):
            raise Vetoed(error.reason) from error
        raise NotSent(f"a middleware around the dispatch failed, {type(error).__name__}: {error}") from error
    try:
        result = send()
    except BaseException as error:
        _leave(entry, entered, error)
        raise
    _leave(entry, entered, None)
    return result


def _dispatch(app: Any, entry: OccurrenceEntry) -> Dispatch:
    ticket = entry.message.ticket
    occurrence = CurrentOccurrence(entry=entry.name, due_at=moment(ticket.due_at), attempt=ticket.attempt, token=None)
    return Dispatch(app, entry.task, entry.args, entry.kwargs, entry.options, occurrence)


def _leave(entry: OccurrenceEntry, entered: Entered, error: BaseException | None) -> None:
    """Leave them. What they make of it changes nothing: the message is sent by now, or it is not.

    :raises SystemExit, KeyboardInterrupt: this beat is being stopped.
    """
    left = entered.leave(error)
    if left is None or left is error:
        return
    if isinstance(left, STOPS):
        raise left
    fate = "sent all the same" if error is None else f"not sent, because of {type(error).__name__}"
    logger.error(
        "middleware_failed: %r due %s, %s: %r",
        entry.name,
        moment(entry.message.due_at).isoformat(),
        fate,
        left,
        exc_info=left,
        extra={"entry": entry.name, "due_at": entry.message.due_at},
    )


def _check(entry: OccurrenceEntry) -> None:
    """:raises ConfigurationError: for what would break the protocol."""
    options, headers = entry.options, entry.options.get("headers")
    if not isinstance(headers, dict):
        raise ConfigurationError(f"options['headers'] is {headers!r}: it must stay a dict; add to it")
    for name, value in {**entry.own_headers, "pyncette": entry.message.ticket.as_header()}.items():
        if name not in headers or headers[name] != value:
            raise ConfigurationError(f"header {name!r} was changed: it is Pyncette's; use a name of your own")
    for name, value in entry.own_options.items():
        if name not in options or options[name] != value:
            raise ConfigurationError(f"option {name!r} was changed: it is set by the beat for each message")
    for name in _NOT_TO_SET:
        if options.get(name) is not None:
            raise ConfigurationError(f"option {name!r} was set: a beat sends over its own connection")

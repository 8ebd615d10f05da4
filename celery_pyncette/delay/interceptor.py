"""Where a delayed call is caught: ``app.send_task`` takes its ETA, ``app.amqp.send_task_message`` parks it.

Everything in Celery that sends a task goes through both. In the first there is no message yet, and in the second a
message to quorum queues would have been given to the native delay exchange: so the first one keeps what it has taken
off in a context variable, and the second one finds it there.
"""

from __future__ import annotations

import logging
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import Celery, current_app, signals

from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.policies import Policy
from celery_pyncette.delay.capture import OPTION, ParkingProducer
from celery_pyncette.delay.celery_internals import (
    SENDER,
    is_of_pool,
    moment_of,
    sends_protocol_two,
    when_an_app_is_finalized,
)
from celery_pyncette.delay.revoke import watch_control
from celery_pyncette.entry_fields import policy_of

logger = logging.getLogger(__name__)

_INTERCEPTOR = "_pyncette_interceptor"
_MARK = "pyncette_parks"
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Delay:
    """The ETA that was taken off a call; ``park`` False: it goes back onto the message, whatever the queue.

    With a ``policy`` it is parked or refused: only a record can be followed.
    """

    eta: datetime
    park: bool
    policy: Policy | None = None


_delay: ContextVar[Delay | None] = ContextVar("pyncette_delay", default=None)


def connect() -> None:
    """Catch the delayed calls of every app that is finalized in this process; again changes nothing.

    A spawned child of a pool gets an app of its own, which may be finalized before anybody listens.
    """
    when_an_app_is_finalized(install)
    signals.worker_process_init.connect(_child_begins)


def _child_begins(**_: Any) -> None:
    install(current_app._get_current_object())


def install(app: Celery) -> None:
    """Catch the delayed calls of one app. Nothing of its configuration is read before there is one."""
    held: dict[str, Any] = vars(app)
    if _INTERCEPTOR not in held:
        held[_INTERCEPTOR] = interceptor = Interceptor(app, held.get("send_task"))
        held["send_task"] = interceptor.send_task
        watch_control(app)


class Interceptor:
    """What stands before the two functions of one app.

    :param before: a ``send_task`` that somebody else has put onto the app, if any.
    """

    def __init__(self, app: Celery, before: Any) -> None:
        self._app = app
        self._before = before

    def send_task(
        self,
        name: Any,
        args: Any = None,
        kwargs: Any = None,
        countdown: Any = None,
        eta: Any = None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        """``Celery.send_task``; a delay that is longer than the threshold becomes a parked message.

        So does whatever has the option ``pyncette_policy``, a ``Policy`` or a dict of its fields, delayed or not.
        """
        policy = policy_of(options.pop(OPTION, None), OPTION)
        send = self._before or type(self._app).send_task.__get__(self._app)
        delay = self._delay_of(countdown, eta, policy) if countdown or eta or policy else None
        if delay is not None:
            self._stand_before_sender()
            countdown = eta = None
        elif _delay.get() is None:
            return send(name, args, kwargs, countdown, eta, *rest, **options)
        token = _delay.set(delay)  # also None: what a router or signal handler sends meanwhile is another message
        try:
            return send(name, args, kwargs, countdown, eta, *rest, **options)
        finally:
            _delay.reset(token)

    def _delay_of(self, countdown: Any, eta: Any, policy: Policy | None) -> Delay | None:
        """The delay to take off; None where the call is left to Celery as it is.

        :raises InvalidEntry: for a call with a policy that cannot be parked.
        """
        app = self._app
        if app.conf.task_always_eager:
            return None
        parks = app.conf.get("pyncette_delay_queue") and sends_protocol_two(app) and desk_of(app).settings.delay_queue
        now = app.now()
        moment = _moment(now, countdown, eta, app) if parks else None
        if moment is None and policy is not None:
            wanted = "an ETA that can be read" if parks else "pyncette_delay_queue = True, and task_protocol 2"
            raise InvalidEntry(OPTION, policy, f"needs {wanted}")
        if moment is None:
            return None
        far = instant_of(moment) - instant_of(now) > desk_of(app).settings.delay_threshold
        return Delay(moment, park=far or policy is not None, policy=policy)

    def _stand_before_sender(self) -> None:
        amqp = self._app.amqp
        if not hasattr(getattr(amqp, SENDER), _MARK):
            with _lock:
                before = getattr(amqp, SENDER)
                if not hasattr(before, _MARK):
                    setattr(amqp, SENDER, self._sender(before))

    def _sender(self, before: Any) -> Any:
        app = self._app

        def send_task_message(producer: Any, name: Any, message: Any, *args: Any, **options: Any) -> Any:
            delay = _delay.get()
            if delay is None:
                return before(producer, name, message, *args, **options)
            token = _delay.set(None)
            try:
                # Signal handlers and the event `task-sent` are told the ETA; the parked message goes without it.
                message.headers["eta"] = delay.eta.isoformat()
                if message.sent_event is not None:
                    message.sent_event["eta"] = message.headers["eta"]
                if delay.park and _same_broker(app, producer):
                    due_at = Instant(instant_of(delay.eta))
                    producer = ParkingProducer(app, producer, due_at, options.get("queue"), delay.policy)
                elif delay.policy is not None:
                    rule = "needs the app's own broker: beats do not know the one of this producer or connection"
                    raise InvalidEntry(OPTION, delay.policy, rule)
                return before(producer, name, message, *args, **options)
            finally:
                _delay.reset(token)

        setattr(send_task_message, _MARK, True)
        return send_task_message


def _moment(now: datetime, countdown: Any, eta: Any, app: Celery) -> datetime | None:
    """When the task shall run, as Celery would have said it; None for what Celery shall refuse itself."""
    try:
        if countdown:
            return now + timedelta(seconds=countdown)
        moment = moment_of(app, eta) if eta else now
        return moment if isinstance(moment, datetime) else None
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None


def _same_broker(app: Celery, producer: Any) -> bool:
    """Whether beats, which have the app's own broker, can send what this producer would."""
    if is_of_pool(app, producer):
        return True
    theirs, ours = producer.connection, app.connection_for_write()
    return all(
        getattr(theirs, name, None) == getattr(ours, name, None)
        for name in ("transport_cls", "hostname", "port", "virtual_host")
    )

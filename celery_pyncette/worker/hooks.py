"""Where the worker's side is hooked into Celery: once per process, for every app that is finalized in it."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from celery import Celery, current_app, signals
from kombu.utils.imports import symbol_by_name

import celery_pyncette
from celery_pyncette.adopting import adopt, include, tell, word_of_a_child
from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.core.records import Ticket
from celery_pyncette.engine.keeping import KEEP_EVERY
from celery_pyncette.worker import fixtures
from celery_pyncette.worker.celery_internals import (
    STOCK_REQUEST,
    rebuild_tracer,
    when_a_task_is_made,
    when_an_app_is_finalized,
)
from celery_pyncette.worker.endings import UNKNOWN_TASK
from celery_pyncette.worker.gate import delivery_of
from celery_pyncette.worker.office import office_of
from celery_pyncette.worker.presence import Presence
from celery_pyncette.worker.replacing import hand_over
from celery_pyncette.worker.reports import task_has_ended
from celery_pyncette.worker.tickets import labels_of, ticket_of
from celery_pyncette.worker.wrapping import put_gate

logger = logging.getLogger(__name__)

AUTOLOAD = "celery_pyncette.worker.autoload"
_REQUEST = "celery_pyncette.worker.requests:GatedRequest"
#: Seconds that a process which ends waits for reports that could not be written yet.
_LAST_WORDS = 5.0
_presences: dict[int, Presence] = {}


def connect() -> None:
    """Hook in; calling it again changes nothing."""
    when_an_app_is_finalized(_app_is_being_finalized)
    signals.worker_init.connect(_worker_begins)
    signals.worker_process_init.connect(_child_begins)
    signals.worker_ready.connect(_worker_is_ready)
    signals.before_task_publish.connect(_message_is_sent)
    signals.task_postrun.connect(_task_ended)
    signals.task_unknown.connect(_task_is_unknown)
    signals.worker_process_shutdown.connect(_child_ends)
    signals.worker_shutdown.connect(_worker_ends)


def install(app: Celery) -> None:
    """Put the gate before every task that the app has by now; again for those that were added since."""
    for task in list(app.tasks.values()):
        _gate(task)


def watch(app: Celery) -> None:
    """Put the gate before every task that the app makes from now on; once for each app."""
    when_a_task_is_made(app, _gate)


def _gate(task: Any) -> None:
    cls: Any = type(task)
    changed = put_gate(cls)
    if cls.Request == STOCK_REQUEST:
        cls.Request = _REQUEST
    elif cls.Request != _REQUEST:
        from celery_pyncette.worker.requests import gated

        find: Any = symbol_by_name
        cls.Request = gated(find(cls.Request))
    if changed:
        rebuild_tracer(task.app, task)


def _app_is_being_finalized(app: Celery) -> None:
    app.on_after_finalize.connect(_app_is_finalized)


def _app_is_finalized(sender: Celery, **_: Any) -> None:
    install(sender)


def _worker_begins(sender: Any, **_: Any) -> None:
    """In the main process, before the pool is made; a child that is spawned imports what the app includes."""
    install(sender.app)
    include(sender.app, (AUTOLOAD,))
    tell(sender.app)
    fixtures.worker_begins(sender.app, sender.pool_cls)


def _child_begins(**_: Any) -> None:
    app = current_app._get_current_object()
    adopt(app)
    install(app)
    fixtures.child_begins(app)


def _message_is_sent(headers: Any = None, **_: Any) -> None:
    hand_over(headers)


def _task_ended(task: Any, state: Any = None, retval: Any = None, **_: Any) -> None:
    task_has_ended(task, state, retval)


def _task_is_unknown(sender: Any, message: Any, name: str, id: str, **_: Any) -> None:  # noqa: A002 - Celery's name
    """A worker without the task has thrown the message away; its run is over."""
    headers = {**(message.headers or {}), "id": id, "hostname": sender.hostname}
    ticket = ticket_of(headers, id)
    if isinstance(ticket, Ticket):
        office_of(sender.app).keeper.owe(delivery_of(ticket, headers), labels_of(headers, name), UNKNOWN_TASK)


def _worker_is_ready(sender: Any, **_: Any) -> None:
    office = office_of(sender.app)
    try:
        runtime = office.runtime
        if runtime.store_url is None:
            logger.warning("no_store: pyncette_store_url is not set: this worker can start no result-aware run")
            return
        presence = _presences[os.getpid()] = Presence(runtime.owner, _about(sender))
        office.keeper.every(KEEP_EVERY / 1000, presence.keep)
    except PyncetteError as error:
        logger.error("gate_misconfigured: %s: this worker refuses result-aware runs", error)  # noqa: TRY400


def _about(consumer: Any) -> dict[str, Any]:
    queues = getattr(getattr(consumer, "task_consumer", None), "queues", None) or ()
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": celery_pyncette.__version__,
        "hostname": consumer.hostname,
        "pool": type(consumer.pool).__module__.rpartition(".")[2],
        "queues": sorted(queue.name for queue in queues),
    }


def _child_ends(**_: Any) -> None:
    office = office_of(current_app._get_current_object())
    if office.owes:
        office.keeper.flush(_LAST_WORDS)
    fixtures.end()


def _worker_ends(sender: Any, **_: Any) -> None:
    """Not called when a worker is shut down cold: then its leases end by themselves."""
    fixtures.end()
    app = sender.app if hasattr(sender, "app") else current_app._get_current_object()
    word = word_of_a_child(app)
    if word is not None:
        logger.critical("worker_stopped: a process that this worker had started could not go on: %s", word)
        sender.exitcode = 1
    presence = _presences.pop(os.getpid(), None)
    if presence is None:
        return
    office = office_of(app)
    office.keeper.flush(_LAST_WORDS)
    try:
        presence.leave(office.store)
    except PyncetteError as error:
        logger.info("worker_farewell_failed: %s; its presence ends by itself", error)

"""Revoking reaches parked messages: the record goes, and the result backend says REVOKED.

Workers remember what was revoked while they run, so they cannot help with a message that is released next week.
Everything that revokes goes through ``Control.broadcast``: ``control.revoke``, results, Flower, the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from celery import Celery
from celery.utils.imports import instantiate
from kombu.utils import functional

from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.core.records import Record
from celery_pyncette.delay.celery_internals import STOCK_CONTROL
from celery_pyncette.parked import remove, remove_one, walk
from celery_pyncette.revoked import say_revoked
from celery_pyncette.stores.protocol import Store

_THEIRS = "_pyncette_control_cls"
_WATCHED = "_pyncette_watched"
_listed: Any = functional.maybe_list


def watch_control(app: Celery) -> None:
    """Have an eye on what ``app.control`` broadcasts, now or once it is made."""
    held = vars(app)
    held[_THEIRS] = app.control_cls
    app.control_cls = control_of
    if "control" in held:
        _watch(app, held["control"])


def control_of(app: Celery) -> Any:
    """``app.control``, of the app's own class, watched. Pickled by its name, as Celery pickles an app."""
    theirs = vars(app).get(_THEIRS) or STOCK_CONTROL
    control = instantiate(STOCK_CONTROL if theirs is control_of else theirs, app=app)
    _watch(app, control)
    return control


def _watch(app: Celery, control: Any) -> None:
    if hasattr(control, _WATCHED):
        return
    before = control.broadcast

    def broadcast(command: str, arguments: Any = None, *rest: Any, **options: Any) -> Any:
        problem = None
        try:
            _heed(app, command, arguments or {})
        except PyncetteError as error:
            problem = error  # the workers shall hear of it in any case
        answer = before(command, arguments, *rest, **options)
        if problem is not None:
            raise problem
        return answer

    control.broadcast = broadcast
    setattr(control, _WATCHED, True)


def _heed(app: Celery, command: str, arguments: Mapping[str, Any]) -> None:
    if command not in ("revoke", "revoke_by_stamped_headers") or not app.conf.get("pyncette_delay_queue"):
        return
    store = desk_of(app).store
    if command == "revoke":
        gone = [one for task_id in _ids(arguments) for one, _ in remove(store, task_id)]
    else:
        gone = _stamped(store, arguments.get("headers") or {})
    for record in gone:
        say_revoked(app, record)


def _ids(arguments: Mapping[str, Any]) -> Iterable[str]:
    return [str(task_id) for task_id in _listed(arguments.get("task_id")) or ()]


def _stamped(store: Store, headers: Any) -> list[Record]:
    """Every parked message with one of these stamps; reads them all."""
    if isinstance(headers, list):
        headers = dict(header.split("=", 1) for header in headers)
    wanted = {name: set(map(str, _listed(values) or ())) for name, values in headers.items()}
    gone = []
    for record, message, _ in walk(store):
        stamps = message.headers.get("stamps") or {}
        if any(values & set(map(str, _listed(stamps.get(name)) or ())) for name, values in wanted.items()):
            gone += [one for one, _ in remove_one(store, record)]
    return gone

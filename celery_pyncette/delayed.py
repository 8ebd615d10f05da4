"""Parked messages seen and steered from any process; see ``docs/delay.md``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import Celery

from celery_pyncette.apps import choose
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.instants import Instant, datetime_of, instant_of, milliseconds
from celery_pyncette.core.records import Record, Write
from celery_pyncette.engine.parking import PREFIX, identity, unpack
from celery_pyncette.parked import due_of, is_parked, moving, records_of, remove, remove_one, walk
from celery_pyncette.stores.protocol import Query, Store, Verdict
from celery_pyncette.stores.writes import write_as_editor
from celery_pyncette.task_state import state_of

#: A page looks at no more pages of the store than this, however few messages match.
_LOOKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedState:
    """One parked message at one moment of the store's clock, ``as_of``. Every ``datetime`` is aware, in UTC.

    ``args`` and ``kwargs`` are the short texts that Celery puts into the headers. ``state`` is one of waiting, due,
    claimed (a beat is sending it), held back (sending it failed a moment ago); result-aware also sent, running,
    reported, and to send (an attempt failed, the next one waits).
    """

    task_id: str
    task: str
    eta: datetime
    queue: str
    retries: int
    args: str
    kwargs: str
    expires: datetime | None
    priority: int | None
    exchange: str
    routing_key: str
    root_id: str | None
    state: str
    size: int
    as_of: datetime
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedPage:
    """Some parked messages, in no order of time; ``cursor`` is None once there are no more.

    A page may be short, even empty, and yet have a cursor. ``unreadable``: keys of records that cannot be read.
    """

    messages: tuple[DelayedState, ...]
    cursor: str | None = None
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayedCounts:
    """How many messages are parked; ``due`` of them should have been sent by now, ``first`` is the earliest ETA."""

    total: int
    due: int
    first: datetime | None
    by_queue: dict[str, int]
    by_task: dict[str, int]


def list_delayed(
    *,
    queue: str | None = None,
    task: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    app: Celery | None = None,
) -> DelayedPage:
    """Parked messages, ``limit`` at a time; those that stay put meanwhile are listed exactly once.

    :param queue: where it will be sent. ``task``: the name of the task, in full.
    """
    if not 1 <= limit <= 10_000:
        raise InvalidEntry("limit", limit, "must be 1 to 10000")
    return page_of(desk_of(choose(app)).store, queue, task, limit, cursor)


def page_of(
    store: Store, queue: str | None, task: str | None, limit: int, cursor: str | None, *, looks: int = _LOOKS
) -> DelayedPage:
    """See ``list_delayed``; ``looks``: how many pages of the store it looks at, however few messages fit."""
    found: list[DelayedState] = []
    unreadable: list[str] = []
    for _ in range(looks):
        page = store.scan(Query(prefix=PREFIX, task=task, limit=limit - len(found)), cursor)
        unreadable += [corrupt.key for corrupt in page.corrupt]
        for record in page.records:
            try:
                found += [one for one in [_state(record, page.now)] if one and queue in (None, one.queue)]
            except ValueError:
                unreadable.append(record.key)
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            break
    return DelayedPage(messages=tuple(found), cursor=cursor, unreadable=tuple(unreadable))


def get_delayed(task_id: str, *, app: Celery | None = None) -> DelayedState | None:
    """The parked message of a task id; None if there is none. Of several retries the one that was parked last."""
    store = desk_of(choose(app)).store
    states = [_state(record, now) for record, now in records_of(store, task_id)]
    return max((state for state in states if state is not None), key=lambda state: state.retries, default=None)


def cancel_delayed(task_id: str, *, app: Celery | None = None) -> bool:
    """Take a message out of the store; nothing is stored about its result: ``app.control.revoke`` does that too.

    :return: True if it will not run. False if there was none, or a beat was sending it at that very moment, or it is
        result-aware and runs already: then it is at least not repeated.
    """
    removed = remove(desk_of(choose(app)).store, task_id)
    return bool(removed) and not any(claimed for _, claimed in removed)


def move_delayed(task_id: str, eta: datetime | timedelta, *, app: Celery | None = None) -> DelayedState | None:
    """Give a parked message another ETA; one that has passed means at once.

    :param eta: an aware ``datetime``, or a ``timedelta`` from now.
    :return: the message as it is then; None if there is none any more, or a beat is sending it at this very moment, or
        it is result-aware and was sent, or is a retry in a result-aware run.
    """
    if isinstance(eta, datetime) and eta.tzinfo is None:
        raise InvalidEntry("eta", eta, "must have a time zone")
    if not isinstance(eta, (datetime, timedelta)):
        raise InvalidEntry("eta", eta, "must be a datetime with a time zone, or a timedelta from now")
    store = desk_of(choose(app)).store
    moved: DelayedState | None = None
    for record, _ in records_of(store, task_id):
        read_at = Instant(0)

        def decide(before: Record | None, now: Instant) -> Write | None:
            nonlocal read_at
            read_at = now
            due = instant_of(eta) if isinstance(eta, datetime) else now + milliseconds(eta)
            return moving(before, now, Instant(due))

        answer, after = write_as_editor(store, record.key, decide)
        if answer.verdict is Verdict.APPLIED and after is not None:
            moved = _state(after, read_at)
    return moved


def count_delayed(*, queue: str | None = None, task: str | None = None, app: Celery | None = None) -> DelayedCounts:
    """How many messages are parked, by queue and by task: all of them, or those of one queue or task.

    Every record is read; a million take about a minute.
    """
    queues: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    due, first = 0, None
    for record, message, now in walk(desk_of(choose(app)).store, queue, task):
        queues[message.queue] += 1
        tasks[record.spec.task] += 1
        at = due_of(record)
        due += at <= now
        first = at if first is None else min(first, at)
    return DelayedCounts(
        total=tasks.total(),
        due=due,
        first=None if first is None else datetime_of(first),
        by_queue=dict(queues.most_common()),
        by_task=dict(tasks.most_common()),
    )


def purge_delayed(*, queue: str | None = None, task: str | None = None, app: Celery | None = None) -> int:
    """Take all parked messages out, or those of one queue or task; how many. Nothing is stored about their results."""
    store = desk_of(choose(app)).store
    return sum(len(remove_one(store, record)) for record, _, _ in walk(store, queue, task))


def _state(record: Record, now: Instant) -> DelayedState | None:
    """:raises ValueError: if the record holds no message that can be read."""
    if not is_parked(record):
        return None
    message = unpack(record.body or b"")
    headers, sending = message.headers, message.sending
    task_id, retries = identity(record.key)
    return DelayedState(
        task_id=task_id,
        task=record.spec.task,
        eta=datetime_of(due_of(record)),
        queue=message.queue,
        retries=retries,
        args=str(headers.get("argsrepr") or ""),
        kwargs=str(headers.get("kwargsrepr") or ""),
        expires=None if record.spec.end is None else datetime_of(record.spec.end),
        priority=sending.get("priority"),
        exchange=sending.get("exchange") or "",
        routing_key=sending.get("routing_key") or "",
        root_id=headers.get("root_id"),
        state=state_of(record, now),
        size=len(record.body or b""),
        as_of=datetime_of(now),
        key=record.key,
    )

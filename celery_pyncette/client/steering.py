"""The operator's hands: pause, resume, run now. For static and dynamic entries alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from celery_pyncette.client.desk import Desk
from celery_pyncette.client.editing import ROUNDS, Edit, edit_all
from celery_pyncette.client.finding import located
from celery_pyncette.core.edits import paused, resumed, run_now
from celery_pyncette.core.errors import InvalidEntry, StoreUnavailable
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import check_duration
from celery_pyncette.core.records import Origin, Pause, Record, Write
from celery_pyncette.entry_checks import check_name, check_note
from celery_pyncette.schedule_forms import moment
from celery_pyncette.stores.protocol import Change, Store, Verdict
from celery_pyncette.stores.writes import change_of
from celery_pyncette.task_state import MISSED, TaskState, state_of_record


def mode_of(missed: object) -> str | None:
    """How a record says what becomes of missed occurrences. :raises InvalidEntry: for field ``missed``."""
    if missed is None:
        return None
    if missed not in MISSED:
        raise InvalidEntry("missed", missed, f"must be one of {', '.join(map(repr, MISSED))}, or None for its policy")
    return MISSED[str(missed)]


def pause(
    desk: Desk, name: str, origin: Origin | None, note: str, until: datetime | timedelta | None, missed: object
) -> TaskState:
    """See ``pause_task``."""
    said, mode = check_note("note", note), mode_of(missed)
    at = None if until is None or isinstance(until, timedelta) else moment("until", until, None)

    def decide(record: Record, now: Instant) -> Record | None:
        end = Instant(now + check_duration("until", until)) if isinstance(until, timedelta) else at
        if end is not None and end <= now:
            raise InvalidEntry("until", until, "has passed")
        after = paused(record, Pause(note=said, until=NEVER if end is None else end, catch_up=mode))
        return None if after == record else after

    return _steered(desk, name, origin, decide)


def resume(desk: Desk, name: str, origin: Origin | None, missed: object) -> TaskState:
    """See ``resume_task``."""
    mode = mode_of(missed)
    return _steered(desk, name, origin, lambda record, now: resumed(record, now, mode))


def _steered(
    desk: Desk, name: str, origin: Origin | None, change: Callable[[Record, Instant], Record | None]
) -> TaskState:
    store = desk.store
    found = _existing(store, name, origin)

    def decide(before: Record | None, now: Instant) -> Write | None:
        if before is None or before.removed:
            raise _missing(name)
        after = change(before, now)
        return None if after is None else Write(record=after)

    edit = Edit(found.key, decide)
    edit_all(store, [edit])
    if edit.error is not None:
        raise edit.error
    assert edit.after is not None
    return state_of_record(edit.after, edit.now)


def run_once(desk: Desk, name: str, origin: Origin | None) -> TaskState:
    """See ``run_task_now``: a child of its own key, made by a change of its parent."""
    store = desk.store
    key = _existing(store, name, origin).key
    due: Instant | None = None
    tried: Change | None = None
    for _ in range(ROUNDS):
        keys = [key] if tried is None else [key, tried.creates[0].key]
        fetched = store.fetch(keys)
        parent = fetched.records[0]
        if tried is not None and _is_ours(fetched.records[1], tried):
            return state_of_record(parent or tried.creates[0], fetched.now)
        if parent is None or parent.removed:
            raise _missing(name)
        due = fetched.now if due is None else due
        tried = change_of(key, parent, run_now(parent, due))
        answer = store.apply([tried]).written[0]
        if answer.verdict is Verdict.APPLIED:
            return state_of_record(replace(parent, version=answer.version), fetched.now)
        if answer.verdict is Verdict.EXISTS:  # somebody else's, of the same millisecond
            due, tried = Instant(due + 1), None
    raise StoreUnavailable(f"{key!r} kept being changed by others; try again")


def _is_ours(child: Record | None, tried: Change) -> bool:
    """Whether the child was made by a write whose answer was lost; one that has been written on since may be."""
    return child is not None and (child.write_id == tried.write_id or child.version > 1)


def _existing(store: Store, name: str, origin: Origin | None) -> Record:
    found, _ = located(store, check_name("name", name), origin)
    if found is None:
        raise _missing(name)
    return found


def _missing(name: str) -> InvalidEntry:
    shown = "list_tasks() and `celery pyncette list` show those that are there"
    return InvalidEntry("name", name, f"there is no such entry in the store; {shown}")

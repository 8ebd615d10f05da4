"""`delayed`: messages that wait in the store for their time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from celery_pyncette import delayed as calls
from celery_pyncette.cli.answers import confirm, head, yes_option
from celery_pyncette.cli.command import Command, ExitCode, Failure, json_option
from celery_pyncette.cli.moments import aware, moment_of
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.session import Session
from celery_pyncette.core.instants import instant_of
from celery_pyncette.states import delayed_document
from celery_pyncette.words import distance, moment, times

_GROUP = """Look at messages that wait for their ETA in the delay queue, and move or cancel them.

They are what apply_async(countdown=) and its like have parked; pyncette_delay_queue says whether they do.
"""
_LIST = """List parked messages, in the order of their task ids."""
_COUNTS = """Count parked messages by queue and by task. It reads all of them."""
_CANCEL = """Take a message out of the store, so that it is never sent.

Its result stays PENDING; `celery control revoke` stores REVOKED as well.
"""
_MOVE = """Give a message another ETA. WHEN is a time as in ISO 8601, or `now`."""
_PURGE = """Take messages out of the store, after asking: all of them, or those of a queue or a task."""
_queue_option = click.option("--queue", metavar="NAME", help="Only those that will be sent to this queue.")
_task_option = click.option("--task", metavar="NAME", help="Only those of this task, named in full.")
_COLUMNS = ("TASK ID", "TASK", "QUEUE", "ETA", "", "STATE", "ARGS")


@click.group("delayed", help=_GROUP)
def delayed() -> None:
    """Nothing by itself."""


@delayed.command("list", cls=Command, help=_LIST)
@_queue_option
@_task_option
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=1000, help="At most so many (default: 1000)."
)
@json_option
@click.pass_obj
def list_messages(context: Any, queue: str | None, task: str | None, limit: int, as_json: bool) -> None:
    session = Session(context.app)
    found, more = _listed(session, queue, task, limit)
    if as_json:
        show_json({**head(session), "messages": [delayed_document(each) for each in found], "more": more})
        return
    if found:
        show_table(Table(_COLUMNS, [_cells(each) for each in found]), color=not context.no_color)
    else:
        say("nothing is parked")
    if more:
        say(f"only the first {limit} are shown: see --limit, --queue, --task", err=True)


@delayed.command("counts", cls=Command, help=_COUNTS)
@json_option
@click.pass_obj
def counts(context: Any, as_json: bool) -> None:
    session = Session(context.app)
    found = calls.count_delayed(app=session.app)
    first = None if found.first is None else instant_of(found.first)
    if as_json:
        numbers = {"total": found.total, "due": found.due, "by_queue": found.by_queue, "by_task": found.by_task}
        show_json({**head(session), **numbers, **times("first", first)})
        return
    rows = [("queue", name, str(count)) for name, count in found.by_queue.items()]
    rows += [("task", name, str(count)) for name, count in found.by_task.items()]
    if rows:
        show_table(Table(("", "NAME", "COUNT"), rows, frozenset(["COUNT"])), color=not context.no_color)
    say(f"{found.total} parked, {found.due} of them due" + ("" if first is None else f"; the first {moment(first)}"))


@delayed.command("cancel", cls=Command, help=_CANCEL)
@click.argument("task_id")
@json_option
@click.pass_obj
def cancel(context: Any, task_id: str, as_json: bool) -> None:
    session = Session(context.app)
    before = calls.get_delayed(task_id, app=session.app)
    if before is None:
        raise _none(task_id)
    if not calls.cancel_delayed(task_id, app=session.app):
        raise Failure(f"{task_id!r}: a beat was sending it at this very moment, it may run", ExitCode.PROBLEMS)
    if as_json:
        show_json({**head(session), "done": "cancelled", "message": delayed_document(before)})
    else:
        say(f"cancelled {task_id}: {before.task}{before.args}")


@delayed.command("move", cls=Command, help=_MOVE)
@click.argument("task_id")
@click.argument("when")
@json_option
@click.pass_obj
def move(context: Any, task_id: str, when: str, as_json: bool) -> None:
    session = Session(context.app)
    eta: datetime | timedelta = timedelta(0) if when == "now" else _time(when)
    after = calls.move_delayed(task_id, eta, app=session.app)
    if after is None:
        raise _none(task_id)
    if as_json:
        show_json({**head(session), "done": "moved", "message": delayed_document(after)})
    else:
        say(f"moved {task_id}: {after.task}{after.args} is due {moment(instant_of(after.eta))}")


@delayed.command("purge", cls=Command, help=_PURGE)
@_queue_option
@_task_option
@yes_option
@json_option
@click.pass_obj
def purge(context: Any, queue: str | None, task: str | None, yes: bool, as_json: bool) -> None:
    session = Session(context.app)
    found = calls.count_delayed(app=session.app, queue=queue, task=task)
    which = "".join(f" of {what} {name!r}" for what, name in (("queue", queue), ("task", task)) if name is not None)
    if found.total:
        confirm(f"Take out {found.total} parked message(s){which}", yes=yes)
    gone = calls.purge_delayed(app=session.app, queue=queue, task=task) if found.total else 0
    if as_json:
        show_json({**head(session), "done": "purged", "count": gone})
    else:
        say(f"{gone} parked message(s){which} taken out")


def _listed(session: Session, queue: str | None, task: str | None, limit: int) -> tuple[list[calls.DelayedState], bool]:
    found: list[calls.DelayedState] = []
    cursor: str | None = None
    while len(found) < limit:
        size = min(1000, limit - len(found))
        page = calls.list_delayed(queue=queue, task=task, limit=size, cursor=cursor, app=session.app)
        found += page.messages
        for key in page.unreadable:
            say(f"{key!r} cannot be read", err=True)
        cursor = page.cursor
        if cursor is None:
            return found, False
    return found, True


def _time(when: str) -> datetime:
    eta = aware("WHEN", moment_of(when))
    assert eta is not None
    return eta


def _none(task_id: str) -> Failure:
    return Failure(f"no message of task id {task_id!r} is parked, or a beat is sending it now", ExitCode.WRONG_USE)


def _cells(state: calls.DelayedState) -> tuple[str, ...]:
    eta, now = instant_of(state.eta), instant_of(state.as_of)
    task = f"{state.task} (retry {state.retries})" if state.retries else state.task
    return (state.task_id, task, state.queue, moment(eta), distance(eta, now), state.state, state.args[:60])

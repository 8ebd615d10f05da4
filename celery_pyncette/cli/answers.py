"""How a command that changed an entry says so."""

from __future__ import annotations

import sys
from typing import Any

import click

from celery_pyncette import states
from celery_pyncette.cli.command import ExitCode, Failure
from celery_pyncette.cli.printing import say, show_json
from celery_pyncette.cli.session import Session
from celery_pyncette.core.instants import instant_of
from celery_pyncette.task_state import TaskState
from celery_pyncette.words import moment, safe, times

origin_option = click.option(
    "--origin", type=click.Choice(["static", "dynamic"]), help="Which one, if both have an entry of the name."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def head(session: Session) -> dict[str, Any]:
    """What every document begins with."""
    return {"format": 1, "namespace": session.settings.namespace, "store": session.store_name}


def answer(session: Session, done: str, state: TaskState, *, as_json: bool, then: str = "") -> None:
    """Say what was done with an entry, and how it is now.

    :param done: one word: a promise to machines. :param then: what follows for people, after a semicolon.
    """
    if as_json:
        now = times("now", instant_of(state.as_of))
        show_json({**head(session), **now, "done": done, "entry": states.document(state)})
        return
    due = "nothing is due" if state.next_due is None else f"next due {moment(instant_of(state.next_due))}"
    say(f"{done} {state.name!r}: {then or due}")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed, on stderr. :raises Failure: if the answer is no, or nobody is there to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question}: nobody is there to ask; say --yes", ExitCode.WRONG_USE)
    if not click.confirm(safe(question), default=False, err=True):
        raise Failure("nothing was done", ExitCode.PROBLEMS)

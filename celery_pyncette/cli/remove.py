"""`remove`: a dynamic entry is gone."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli.answers import answer, confirm, yes_option
from celery_pyncette.cli.command import Command, ExitCode, Failure, json_option
from celery_pyncette.cli.session import Session
from celery_pyncette.client import get_task, unschedule_task

_HELP = """Remove a dynamic entry, after asking. A run that is going on goes on, and nothing follows it.

A static entry is defined by beat_schedule, and only that can remove it; it can be paused.
"""


@click.command("remove", cls=Command, help=_HELP)
@click.argument("name")
@yes_option
@json_option
@click.pass_obj
def remove(context: Any, name: str, yes: bool, as_json: bool) -> None:
    session = Session(context.app)
    before = get_task(name, origin="dynamic", app=session.app)
    if before is None:
        static = name in session.entries or get_task(name, origin="static", app=session.app) is not None
        raise Failure(_static(name) if static else f"there is no entry {name!r} in the store", ExitCode.WRONG_USE)
    running = before.run is not None and before.run.started_at is not None
    end = "; its run goes on" if running else ""
    confirm(f"Remove {name!r} ({before.schedule}, task {before.task}){end}", yes=yes)
    if not unschedule_task(name, generation=before.generation, app=session.app):
        raise Failure(f"{name!r} was changed by somebody else meanwhile; nothing was removed", ExitCode.PROBLEMS)
    answer(session, "removed", before, as_json=as_json, then=f"nothing follows{end}")


def _static(name: str) -> str:
    return (
        f"{name!r} is a static entry: take it out of beat_schedule and deploy, or let it rest with "
        f"`celery pyncette pause {name}`"
    )

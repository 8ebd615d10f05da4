"""`pause` and `resume`: an entry at rest, and awake again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from celery_pyncette.cli.answers import answer, origin_option
from celery_pyncette.cli.command import Command, json_option
from celery_pyncette.cli.moments import aware, moment_of
from celery_pyncette.cli.session import Session
from celery_pyncette.client import get_task, pause_task, resume_task
from celery_pyncette.core.instants import instant_of
from celery_pyncette.words import moment

_PAUSE = """Let an entry rest, static or dynamic. A run that has started goes on.

Of one that is paused already, note and end are set anew.
"""
_RESUME = """Wake an entry. One that is not paused is left alone.

Without --missed, what was due meanwhile is treated as the pause said, else as the entry's catch-up policy says.
"""


@click.command("pause", cls=Command, help=_PAUSE)
@click.argument("name")
@click.option("--note", metavar="TEXT", default="", help="Why, for people.")
@click.option("--until", metavar="TIME", type=moment_of, help="When it resumes by itself: an ISO 8601 time.")
@origin_option
@json_option
@click.pass_obj
def pause(context: Any, name: str, note: str, until: datetime | None, origin: str | None, as_json: bool) -> None:
    session = Session(context.app)
    state = pause_task(name, note, aware("--until", until), origin=origin, app=session.app)
    end = None if state.paused is None else state.paused.until
    then = "nothing is sent until it is resumed" if end is None else f"nothing is sent until {moment(instant_of(end))}"
    if state.run is not None and state.run.started_at is not None:
        then += "; its run goes on"
    answer(session, "paused", state, as_json=as_json, then=then)


@click.command("resume", cls=Command, help=_RESUME)
@click.argument("name")
@click.option(
    "--missed",
    type=click.Choice(["skip", "latest", "all"]),
    help="Skip what was due meanwhile, run the latest of it, or all.",
)
@origin_option
@json_option
@click.pass_obj
def resume(context: Any, name: str, missed: str | None, origin: str | None, as_json: bool) -> None:
    session = Session(context.app)
    before = get_task(name, origin=origin, app=session.app)
    state = resume_task(name, missed, origin=origin, app=session.app)
    rested = before is not None and before.paused is not None
    answer(session, "resumed" if rested else "unchanged", state, as_json=as_json)

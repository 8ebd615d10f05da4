"""`run`: one more run, at once."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli.answers import answer, origin_option
from celery_pyncette.cli.command import Command, json_option
from celery_pyncette.cli.session import Session
from celery_pyncette.client import run_task_now

_HELP = """Run an entry once more, at once, beside whatever else it does: paused, running or not.

A beat sends it, under the entry's own policy. When the entry is due next stays as it is.
"""


@click.command("run", cls=Command, help=_HELP)
@click.argument("name")
@origin_option
@json_option
@click.pass_obj
def run(context: Any, name: str, origin: str | None, as_json: bool) -> None:
    session = Session(context.app)
    state = run_task_now(name, origin=origin, app=session.app)
    answer(session, "requested", state, as_json=as_json, then="one more run is due now, and the next beat sends it")

"""`add`: a dynamic entry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from celery_pyncette.cli.answers import answer
from celery_pyncette.cli.command import Command, ExitCode, Failure, json_option
from celery_pyncette.cli.known_tasks import why_unknown
from celery_pyncette.cli.moments import from_json, moment_of
from celery_pyncette.cli.printing import say
from celery_pyncette.cli.session import Session
from celery_pyncette.client import get_task, schedule_task

_HELP = """Make NAME a dynamic entry that calls a task: create it, or replace what it was.

Say exactly one of --schedule, --interval and --at. What is the same already is left alone. A run that is going on is
never disturbed. It holds at once, in all beats: nothing needs a restart.
"""


@click.command("add", cls=Command, help=_HELP)
@click.argument("name")
@click.option("--task", metavar="TASK", required=True, help="The name of the task.")
@click.option("--schedule", "cron", metavar="CRON", help="A cron string, as in '30 2 * * *', or an alias: '@daily'.")
@click.option("--interval", metavar="SECONDS", type=float, help="Run it every so many seconds.")
@click.option("--at", metavar="TIME", type=moment_of, help="Run it once, at this ISO 8601 time.")
@click.option("--args", metavar="JSON", help="Positional arguments, a JSON list.")
@click.option("--kwargs", metavar="JSON", help="Keyword arguments, a JSON object.")
@click.option("--options", metavar="JSON", help='Options of apply_async, as in \'{"queue": "slow"}\'.')
@click.option("--timezone", metavar="ZONE", help="Where the clock is read (default: the app's time zone).")
@click.option("--start", metavar="TIME", type=moment_of, help="Nothing is due before this ISO 8601 time.")
@click.option("--end", metavar="TIME", type=moment_of, help="Nothing is due after this ISO 8601 time.")
@click.option("--max-runs", metavar="N", type=int, help="How often it runs at most.")
@click.option("--tenant", metavar="TEXT", help="Whatever you like to group by.")
@click.option("--force", is_flag=True, help="Replace also what is the same: due anew, counted anew.")
@json_option
@click.pass_obj
def add(
    context: Any,
    name: str,
    task: str,
    cron: str | None,
    interval: float | None,
    at: datetime | None,
    args: str | None,
    kwargs: str | None,
    options: str | None,
    timezone: str | None,
    start: datetime | None,
    end: datetime | None,
    max_runs: int | None,
    tenant: str | None,
    force: bool,
    as_json: bool,
) -> None:
    session = Session(context.app)
    if name in session.entries or name in session.rejected:
        raise Failure(
            f"{name!r} is a static entry, which beat_schedule defines: choose another name, or change it there",
            ExitCode.WRONG_USE,
        )
    given_args = from_json("--args", args)
    before = get_task(name, origin="dynamic", app=session.app)
    state = schedule_task(
        task,
        name,
        schedule=cron,
        interval=interval,
        execute_at=at,
        args=() if given_args is None else given_args,
        kwargs=from_json("--kwargs", kwargs),
        options=from_json("--options", options),
        timezone=timezone,
        start=start,
        end=end,
        max_runs=max_runs,
        tenant=tenant,
        force=force,
        app=session.app,
    )
    same = before is not None and before.generation == state.generation
    done = "created" if before is None else "unchanged" if same else "replaced"
    answer(session, done, state, as_json=as_json)
    note = why_unknown(session.app, state.task)
    if note is not None and not as_json:
        say(note, err=True)

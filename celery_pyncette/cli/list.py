"""`list`: the entries in the store, joined with this app's own configuration."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli.command import Command, json_option, schedule_option
from celery_pyncette.cli.entry_query import Listing, Reader, Selection, configured
from celery_pyncette.cli.entry_rows import COLUMNS, STYLES, UNKNOWN, cells, document
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.session import Session
from celery_pyncette.core.errors import SchemaMismatch
from celery_pyncette.core.records import Origin
from celery_pyncette.words import times

_HELP = """Show entries: when they are due, how they last ran, what they are doing.

An entry that is configured here but is not in the store is `new`: no beat with this configuration has started yet. One
that is in the store but not configured here is `not defined here`; `other schedule here` says that the beats run it
on another schedule than this configuration has. LAG is how late the last run was sent.

Where no beat has started at all, the entries of the configuration are shown, in the state `unknown`.
"""


@click.command("list", cls=Command, help=_HELP)
@click.option("--name", metavar="GLOB", help="Only names that match, as in 'billing.*'.")
@click.option("--prefix", metavar="TEXT", help="Only names that begin so.")
@click.option("--origin", type=click.Choice(["static", "dynamic"]), help="Only beat_schedule, or only schedule_task().")
@click.option("--paused", is_flag=True, help="Only entries that are paused.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    help="At most so many entries (default: 1000).",
)
@json_option
@schedule_option
@click.pass_obj
def list_entries(
    context: Any,
    name: str | None,
    prefix: str | None,
    origin: str | None,
    paused: bool,
    limit: int,
    as_json: bool,
    schedule: str | None,
) -> None:
    session = Session(context.app, schedule)
    chosen = None if origin is None else Origin(origin)
    listing, problem = _listing(session, Selection(name=name, prefix=prefix, origin=chosen, paused=paused, limit=limit))
    notes = [*([problem] if problem else []), *_notes(session, listing)]
    if as_json:
        show_json(_document(session, listing, notes))
        return
    if listing.rows:
        rows = [cells(row, listing.now) for row in listing.rows]
        show_table(Table(COLUMNS, rows, frozenset(["LAG"]), STYLES), color=not context.no_color)
    else:
        say("no entries")
    for note in notes:
        say(note, err=True)


def _listing(session: Session, selection: Selection) -> tuple[Listing, str | None]:
    """What there is, and why that is the configuration alone."""
    try:
        with session.store() as store:
            store.prepare(None)
            return Reader(store, session.definitions, selection).read(), None
    except SchemaMismatch as error:
        now = session.runtime.clock.now()
        return configured(session.definitions, selection, now, UNKNOWN), f"from the configuration alone: {error}"


def _notes(session: Session, listing: Listing) -> list[str]:
    notes = [f"{error}; beats leave it out" for error in listing.corrupt]
    if listing.more:
        notes.append(f"only the first {len(listing.rows)} are shown: see --limit, --name, --prefix")
    if session.rejected:
        count = "1 entry" if len(session.rejected) == 1 else f"{len(session.rejected)} entries"
        notes.append(f"{count} of the configuration cannot be used: `doctor` says why")
    return notes


def _document(session: Session, listing: Listing, notes: list[str]) -> dict[str, Any]:
    return {
        "format": 1,
        "namespace": session.settings.namespace,
        "store": session.store_name,
        **times("now", listing.now),
        "entries": [document(row) for row in listing.rows],
        "more": listing.more,
        "rejected": {name: str(error) for name, error in sorted(session.rejected.items())},
        "notes": notes,
    }

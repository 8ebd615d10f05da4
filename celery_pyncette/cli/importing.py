"""`import`: what another beat keeps becomes dynamic entries."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import click

from celery_pyncette.cli import import_rows
from celery_pyncette.cli.answers import head
from celery_pyncette.cli.command import Command, ExitCode, json_option
from celery_pyncette.cli.import_rows import Report
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.progress import bar
from celery_pyncette.cli.session import Session
from celery_pyncette.client.desk import Desk, desk_of
from celery_pyncette.core.errors import SchemaMismatch
from celery_pyncette.core.instants import Instant
from celery_pyncette.migrate.imported import Imported
from celery_pyncette.migrate.moving import Fate, Mover
from celery_pyncette.runtime import fingerprint
from celery_pyncette.stores.memory import MemoryStore
from celery_pyncette.stores.protocol import Founding

#: What can be read, and by which module.
_READERS = {
    "shelve": "celery_pyncette.migrate.shelve",
    "redbeat": "celery_pyncette.migrate.redbeat",
    "django-celery-beat": "celery_pyncette.migrate.django_celery_beat",
    "sqlalchemy-celery-beat": "celery_pyncette.migrate.sqlalchemy_celery_beat",
}
_HELP = """Take over the entries of another beat as dynamic entries, with their last runs.

Stop the other beat first: the two know nothing of one another. Its data are only read, and stay as they are.

An entry is due here when it is due there; --dry-run writes nothing and tells where that is not so, and why. What is
here already is left alone, so an import can be repeated, and goes on where it was broken off; an entry whose definition
has become another one there is changed here. Names that beat_schedule defines are left to it. What is switched off
there is paused here.

Exit code 1: some entries were refused; the others were taken over.
"""


@click.command("import", cls=Command, help=_HELP)
@click.option("--from", "scheduler", type=click.Choice(list(_READERS)), required=True, help="Which beat it was.")
@click.option(
    "--source",
    metavar="PATH_OR_URL",
    help="Where it keeps its entries: the path of the schedule file, or a URL. Default: what its own settings in this "
    "app say (beat_schedule_filename, redbeat_redis_url, Django's database, beat_dburi).",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--prefix", metavar="TEXT", default="", help="Only names that begin so.")
@click.option("--key-prefix", metavar="TEXT", help="Of RedBeat's keys (default: redbeat_key_prefix, else 'redbeat:').")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    help="Tell of at most so many entries one by one (default: 1000).",
)
@json_option
@click.pass_context
def import_entries(
    ctx: click.Context,
    scheduler: str,
    source: str | None,
    dry_run: bool,
    prefix: str,
    key_prefix: str | None,
    limit: int,
    as_json: bool,
) -> None:
    session = Session(ctx.obj.app)
    desk, note = _desk(session, dry_run)
    entries = _entries(session, scheduler, source, key_prefix, desk.store.now())
    report = Report(limit, everything=dry_run or as_json)
    static = {*session.entries, *session.rejected}
    mover = Mover(desk, scheduler, static, write=not dry_run)
    with bar("reading" if dry_run else "importing") as advance:
        for _ in report.take(mover.move(entry for entry in entries if entry.name.startswith(prefix))):
            advance(1)
    if as_json:
        show_json(_document(session, scheduler, dry_run, report, note))
    else:
        _print(scheduler, dry_run, report, note, color=not ctx.obj.no_color)
    ctx.exit(ExitCode.PROBLEMS if report.counts[Fate.REFUSED] else ExitCode.FINE)


def _desk(session: Session, dry_run: bool) -> tuple[Desk, str | None]:
    """Where to work. A dry run before anybody has set up the store works on an empty one, and says why."""
    desk = desk_of(session.app)
    try:
        _ = desk.store
    except SchemaMismatch as error:
        if not dry_run:
            raise
        empty = MemoryStore(session.settings.namespace)
        empty.prepare(Founding(fingerprint=fingerprint(session.app)))
        return Desk(session.app, empty), f"compared with an empty store: {error}"
    return desk, None


def _entries(
    session: Session, scheduler: str, source: str | None, key_prefix: str | None, now: Instant
) -> Iterator[Imported]:
    reader = importlib.import_module(_READERS[scheduler])
    more = {"prefix": key_prefix} if scheduler == "redbeat" else {}
    found: Iterator[Imported] = reader.read(source, session.app, now, **more)
    return found


def _print(scheduler: str, dry_run: bool, report: Report, note: str | None, *, color: bool) -> None:
    if report.moves:
        rows = [import_rows.cells(move) for move in report.moves]
        show_table(Table(import_rows.COLUMNS, rows, styles=import_rows.STYLES), color=color)
    would = "would be imported" if dry_run else "imported"
    say(f"{would} from {scheduler}: {report.summary}")
    if report.more:
        say(f"only the first {report.limit} are shown: see --limit, --prefix", err=True)
    if note:
        say(note, err=True)


def _document(session: Session, scheduler: str, dry_run: bool, report: Report, note: str | None) -> dict[str, Any]:
    return {
        **head(session),
        "from": scheduler,
        "dry_run": dry_run,
        "counts": {fate.value: report.counts[fate] for fate in Fate},
        "entries": [import_rows.document(move) for move in report.moves],
        "more": report.more,
        "notes": [note] if note else [],
    }

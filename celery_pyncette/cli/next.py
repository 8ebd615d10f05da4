"""`next`: the next due times of one entry, with warnings."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli import previews
from celery_pyncette.cli.command import Command, ExitCode, Failure, json_option, schedule_option
from celery_pyncette.cli.finding import unknown
from celery_pyncette.cli.previews import Preview
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.session import Session
from celery_pyncette.core.due_times import EntryTimes
from celery_pyncette.core.errors import SchemaMismatch, StoreNotConfigured, StoreUnavailable
from celery_pyncette.core.records import Origin, Record
from celery_pyncette.core.timeline import zone_named
from celery_pyncette.stores.protocol import Query, Store
from celery_pyncette.translate import static_key

_HELP = """Show when an entry is due next, and what is odd about it.

Warnings tell of an entry that never fires, is paused, or is due at a local time that does not exist or exists twice on
a day on which clocks change.

Due times come from the store. Without one, and where no beat has started, they come from the configuration alone, and
stderr says so: intervals then count from now.
"""


@click.command("next", cls=Command, help=_HELP)
@click.argument("name")
@click.option("--count", metavar="N", type=click.IntRange(1, 1000), default=5, help="How many due times (default: 5).")
@click.option("--tz", metavar="ZONE", help="The zone of the local times, as in Europe/Berlin (default: the entry's).")
@click.option(
    "--origin", type=click.Choice(["static", "dynamic"]), help="Which one, if both have an entry of the name."
)
@json_option
@schedule_option
@click.pass_obj
def next_times(
    context: Any, name: str, count: int, tz: str | None, origin: str | None, as_json: bool, schedule: str | None
) -> None:
    zone = None if tz is None else zone_named(tz)
    session = Session(context.app, schedule)
    preview, reason = _preview(session, name, count, None if origin is None else Origin(origin))
    zone = preview.zone if zone is None else zone
    if as_json:
        said = {"format": 1, "namespace": session.settings.namespace, "store": session.store_name}
        show_json({**said, **previews.document(preview, zone), "reason": reason})
        return
    say(f"{preview.spec.name} ({preview.schedule}), task {preview.spec.task}")
    if preview.dues:
        rows = previews.cells(preview, zone)
        show_table(Table(previews.COLUMNS, rows, frozenset("#")), color=not context.no_color)
    for line in [*(f"warning: {text}" for text in preview.warnings), *([reason] if reason else [])]:
        say(line, err=True)


def _preview(session: Session, name: str, count: int, origin: Origin | None) -> tuple[Preview, str | None]:
    """What is known, and why that is the configuration alone."""
    down: StoreUnavailable | None = None
    try:
        with session.store() as store:
            store.prepare(None)
            now = store.now()
            record = _chosen(name, _records(store, name, origin))
            if record is not None:
                times, differs = _times(session, record)
                usual = session.settings.shortest_grace
                return previews.of_record(record, times, now, count, differs=differs, usual=usual), None
            reason = "from the configuration alone: the store does not have it yet"
    except (StoreNotConfigured, SchemaMismatch, StoreUnavailable) as error:
        now = session.runtime.clock.now()
        reason = f"from the configuration alone: {error}"
        down = error if isinstance(error, StoreUnavailable) else None
    if name not in session.definitions.static() or origin is Origin.DYNAMIC:
        if down is not None and name not in session.rejected:
            raise down  # only the store could tell
        raise unknown(session, name, reason)
    times = session.definitions.times(name, now)
    return previews.of_definition(session.entries[name].spec, times, now, count), reason


def _records(store: Store, name: str, origin: Origin | None) -> list[Record]:
    """What the store has under a name: at most a static and a dynamic entry."""
    found = list(store.fetch([static_key(name)]).records) if origin is not Origin.DYNAMIC else []
    if origin is not Origin.STATIC:
        found.append(_dynamic(store, name))
    return [record for record in found if record is not None and not record.removed]


def _dynamic(store: Store, name: str) -> Record | None:
    cursor: str | None = None
    while True:
        page = store.scan(Query(prefix="d:", name_prefix=name), cursor)
        found = [record for record in page.records if record.spec.name == name]
        cursor = page.cursor
        if found or cursor is None:
            return found[0] if found else None


def _chosen(name: str, records: list[Record]) -> Record | None:
    if len(records) > 1:
        raise Failure(f"both a static and a dynamic entry are named {name!r}: add --origin", ExitCode.WRONG_USE)
    return records[0] if records else None


def _times(session: Session, record: Record) -> tuple[EntryTimes, bool]:
    """The due times as this app understands them, and whether the record was written under another schedule."""
    name = record.spec.name
    if record.spec.origin is not Origin.STATIC:
        meaning = session.definitions.meaning(record)
        assert meaning is not None, "a dynamic record says by itself what it means"
        assert isinstance(meaning.times, EntryTimes)
        return meaning.times, False
    if name not in session.definitions.static():
        raise Failure(
            f"{name!r} is in the store, but not in this app's beat_schedule, and only there is its schedule known",
            ExitCode.WRONG_USE,
        )
    differs = session.definitions.definition(name).timing != record.timing
    return session.definitions.times(name, record.anchor), differs

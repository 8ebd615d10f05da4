"""`show`: everything about one entry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import click

from celery_pyncette import states
from celery_pyncette.cli import policy_rows
from celery_pyncette.cli.answers import head, origin_option
from celery_pyncette.cli.command import Command, ExitCode, Failure, json_option, schedule_option
from celery_pyncette.cli.finding import unknown
from celery_pyncette.cli.policy_rows import Part
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.session import Session
from celery_pyncette.client.finding import located, origin_of
from celery_pyncette.core.edits import create
from celery_pyncette.core.errors import InvalidEntry, PyncetteError, SchemaMismatch, StoreNotConfigured
from celery_pyncette.core.instants import instant_of
from celery_pyncette.core.records import Origin, Record
from celery_pyncette.core.schedules import Cron, CronFields
from celery_pyncette.task_state import TaskState, state_of_record
from celery_pyncette.words import times

_HELP = """Show everything about one entry: its definition, its run, its lease, its last runs, its policy.

The policy is the one that a beat with this configuration decides by; FROM tells which level says so: the entry itself,
`pyncette_policies`, the task, a setting, or the default.

Arguments and options may hold what is not for every screen: they are named, and shown with --payload only. Those of a
static entry come from this configuration, not from the store.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry, whether a store knew it, and what else there is to say."""

    state: TaskState
    source: str
    notes: tuple[str, ...] = ()


@click.command("show", cls=Command, help=_HELP)
@click.argument("name")
@click.option("--payload", is_flag=True, help="Show arguments and options in full.")
@origin_option
@json_option
@schedule_option
@click.pass_obj
def show(context: Any, name: str, payload: bool, origin: str | None, as_json: bool, schedule: str | None) -> None:
    session = Session(context.app, schedule)
    found = _found(session, name, origin_of(origin))
    parts, problem = _policy(session, found.state)
    notes = [*found.notes, *([problem] if problem else [])]
    if as_json:
        show_json(_document(session, found, parts, notes, payload))
    else:
        _print(found.state, parts, payload=payload, color=not context.no_color)
        for note in notes:
            say(note, err=True)


def _found(session: Session, name: str, origin: Origin | None) -> Found:
    try:
        with session.store() as store:
            store.prepare(None)
            record, now = located(store, name, origin)
            if record is not None:
                return Found(state_of_record(_filled(session, record), now), "store", _differences(session, record))
            reason = "the store does not have it yet"
    except (StoreNotConfigured, SchemaMismatch) as error:
        reason = str(error)
    except InvalidEntry as error:
        raise Failure(f"{error} (--origin)" if error.field == "origin" else str(error), ExitCode.WRONG_USE) from error
    if name not in session.definitions.static() or origin is Origin.DYNAMIC:
        raise unknown(session, name, reason)
    return Found(_configured(session, name), "configuration", (f"from the configuration alone: {reason}",))


def _filled(session: Session, record: Record) -> Record:
    """A static record with what only the configuration knows of it."""
    entry = session.entries.get(record.spec.name)
    if record.spec.origin is not Origin.STATIC or entry is None or record.payload != entry.payload:
        return record
    return replace(record, spec=replace(entry.spec, description=record.spec.description))


def _differences(session: Session, record: Record) -> tuple[str, ...]:
    name = record.spec.name
    if record.spec.origin is not Origin.STATIC:
        return ()
    if name not in session.definitions.static():
        return ("it is not defined in this configuration: arguments and policy are not known here",)
    if session.definitions.definition(name).timing != record.timing:
        return ("the beats run it on another schedule than this configuration has",)
    return ()


def _configured(session: Session, name: str) -> TaskState:
    """As if a beat saw it first now."""
    now = session.runtime.clock.now()
    record = create(session.definitions.definition(name), now, session.definitions.times(name, now))
    return replace(state_of_record(_filled(session, record), now), state="new", lease=None)


def _policy(session: Session, state: TaskState) -> tuple[list[Part], str | None]:
    """The policy, and why there is none if there is none."""
    static = session.entries.get(state.name) if state.origin is Origin.STATIC else None
    spec = state.spec if static is None else static.spec
    cron = isinstance(spec.schedule, (Cron, CronFields)) if static is None else static.cron
    try:
        return policy_rows.parts_of(session.app, session.settings, spec, cron=cron), None
    except PyncetteError as error:
        return [], f"its policy cannot be resolved: {error}"


def _print(state: TaskState, parts: list[Part], *, payload: bool, color: bool) -> None:
    show_table(Table(("FIELD", "VALUE"), states.facts(state, payload=payload), styles=states.STYLES), color=color)
    if state.recent:
        say("")
        rows = [states.recent_cells(line) for line in reversed(state.recent)]
        show_table(Table(states.RECENT, rows, states.RECENT_RIGHT, states.STYLES), color=color)
    if parts:
        say("")
        show_table(Table(policy_rows.COLUMNS, [policy_rows.cells(part) for part in parts]), color=color)


def _document(session: Session, found: Found, parts: list[Part], notes: list[str], payload: bool) -> dict[str, Any]:
    return {
        **head(session),
        **times("now", instant_of(found.state.as_of)),
        "source": found.source,
        "entry": states.document(found.state, payload=payload),
        "policy": policy_rows.document(parts),
        "notes": notes,
    }

"""`dead-letters`: single runs that were given up, and kept for somebody to look at."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli import dead
from celery_pyncette.cli.answers import confirm, head, yes_option
from celery_pyncette.cli.command import Command, ExitCode, Failure, json_option, schedule_option
from celery_pyncette.cli.printing import Table, say, show_json, show_table
from celery_pyncette.cli.session import Session
from celery_pyncette.core.records import Record

_GROUP = """Look at single runs that were given up, and send them again or throw them away.

A one-off that ran out of attempts, or passed its deadline, is kept as a dead letter for pyncette_dead_letter_ttl.
"""
_LIST = """List dead letters; the newest of their runs says why they were given up."""
_WHICH = "WHICH is a key, as `dead-letters list` shows it, or the name of an entry: then all of its dead letters."
_RETRY = f"""Run dead letters again: each is due now, with all its attempts before it.

{_WHICH}
"""
_DISCARD = f"""Throw dead letters away, after asking.

{_WHICH}
"""
_all_option = click.option("--all", "everything", is_flag=True, help="All dead letters that there are.")


@click.group("dead-letters", help=_GROUP)
def dead_letters() -> None:
    """Nothing by itself."""


@dead_letters.command("list", cls=Command, help=_LIST)
@click.option("--prefix", metavar="TEXT", default="", help="Only entries whose names begin so.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 1_000_000), default=1000, help="At most so many (default: 1000)."
)
@json_option
@schedule_option
@click.pass_obj
def list_dead(context: Any, prefix: str, limit: int, as_json: bool, schedule: str | None) -> None:
    session = Session(context.app, schedule)
    with session.store() as store:
        store.prepare(None)
        found, now, more = dead.listed(store, prefix, limit)
    if as_json:
        show_json({**head(session), "dead_letters": [dead.document(each) for each in found], "more": more})
    elif found:
        show_table(Table(dead.COLUMNS, [dead.cells(each, now) for each in found]), color=not context.no_color)
    else:
        say("no dead letters")
    if more and not as_json:
        say(f"only the first {limit} are shown: see --limit, --prefix", err=True)


@dead_letters.command("retry", cls=Command, help=_RETRY)
@click.argument("which", required=False)
@_all_option
@json_option
@schedule_option
@click.pass_obj
def retry(context: Any, which: str | None, everything: bool, as_json: bool, schedule: str | None) -> None:
    session = Session(context.app, schedule)
    with session.store() as store:
        store.prepare(None)
        chosen = _chosen(dead.chosen(store, which, everything), which, everything)
        _report(session, "due again", dead.edited(store, chosen, dead.again), as_json)


@dead_letters.command("discard", cls=Command, help=_DISCARD)
@click.argument("which", required=False)
@_all_option
@yes_option
@json_option
@schedule_option
@click.pass_obj
def discard(context: Any, which: str | None, everything: bool, yes: bool, as_json: bool, schedule: str | None) -> None:
    session = Session(context.app, schedule)
    with session.store() as store:
        store.prepare(None)
        chosen = _chosen(dead.chosen(store, which, everything), which, everything)
        names = sorted({each.spec.name for each in chosen})
        shown = ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        confirm(f"Throw away {len(chosen)} dead letter(s) of {shown}", yes=yes)
        _report(session, "discarded", dead.edited(store, chosen, dead.gone), as_json)


def _chosen(found: list[Record], which: str | None, everything: bool) -> list[Record]:
    if (which is None) is not everything:
        raise Failure("say which: a key, the name of an entry, or --all", ExitCode.WRONG_USE)
    if not found and which is not None:
        raise Failure(f"there is no dead letter {which!r}", ExitCode.WRONG_USE)
    return found


def _report(session: Session, done: str, keys: list[str], as_json: bool) -> None:
    if as_json:
        show_json({**head(session), "done": done, "keys": keys})
    else:
        say(f"{len(keys)} dead letter(s) {done}")

"""`store upgrade`: the schema of this release, and the namespace."""

from __future__ import annotations

from typing import Any

import click

from celery_pyncette.cli.answers import head
from celery_pyncette.cli.command import Command, json_option, schedule_option
from celery_pyncette.cli.printing import say, show_json
from celery_pyncette.cli.progress import bar
from celery_pyncette.cli.session import Session
from celery_pyncette.clock import new_id
from celery_pyncette.core.errors import NamespaceInUse, SchemaMismatch
from celery_pyncette.runtime import fingerprint
from celery_pyncette.stores.protocol import Founding, Meta, Store

_HELP = """Make the store ready: create or upgrade its schema, and found the namespace.

Beats do the same when they start, unless pyncette_store_create is False: then run this before each release, with a
database user that may create tables. Running it again changes nothing. Several may run at once.
"""
#: Creating an index on a large table takes as long as it takes.
_SECONDS = 3600.0


@click.group("store", help="Look after the store itself.")
def store_group() -> None:
    """Nothing by itself."""


@store_group.command("upgrade", cls=Command, help=_HELP)
@json_option
@schedule_option
@click.pass_obj
def upgrade(context: Any, as_json: bool, schedule: str | None) -> None:
    session = Session(context.app, schedule)
    with bar("preparing the store"):
        meta, before = _prepared(session)
    if as_json:
        show_json({**head(session), "changed": before is not None, "before": before, **_said(meta)})
        return
    say(f"{session.store_name}: {'ready already' if before is None else 'ready now'}")
    if before is not None:
        say(f"it was: {before}")
    say(f"namespace {session.settings.namespace!r} of {meta.fingerprint!r}, {meta.partitions} partition(s)")


def _prepared(session: Session) -> tuple[Meta, str | None]:
    """The namespace as it is now, and what it lacked; None if nothing."""
    ours, before = fingerprint(session.app), None
    try:
        meta = _ask(session.runtime.open_store(), None)
    except SchemaMismatch as error:
        before = str(error)
        founding = Founding(fingerprint=ours, partitions=session.settings.partitions, store_id=new_id())
        meta = _ask(session.runtime.open_store(_SECONDS, attempts=1), founding)
    if meta.fingerprint != ours:
        raise NamespaceInUse(
            f"namespace {session.settings.namespace!r} in {session.store_name} belongs to {meta.fingerprint!r}, and "
            f"this is {ours!r}: set another pyncette_namespace, or remove the old one"
        )
    return meta, before


def _ask(store: Store, founding: Founding | None) -> Meta:
    try:
        return store.prepare(founding)
    finally:
        store.close()


def _said(meta: Meta) -> dict[str, Any]:
    return {"store_id": meta.store_id, "partitions": meta.partitions, "fingerprint": meta.fingerprint}

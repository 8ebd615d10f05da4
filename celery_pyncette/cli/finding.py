"""What is said of a name that there is no entry of."""

from __future__ import annotations

import difflib

from celery_pyncette.cli.command import ExitCode, Failure
from celery_pyncette.cli.session import Session


def unknown(session: Session, name: str, reason: str) -> Failure:
    """:param reason: why the store did not tell."""
    rejected = session.rejected.get(name)
    if rejected is not None:
        return Failure(str(rejected), ExitCode.WRONG_USE)
    near = difflib.get_close_matches(name, session.definitions.static(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = "" if near else "; `celery pyncette list` shows those that are there"
    return Failure(f"there is no entry {name!r}{hint} ({reason}){listed}", ExitCode.WRONG_USE)

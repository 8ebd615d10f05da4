"""What people type: times and JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import click

from celery_pyncette.cli.command import ExitCode, Failure


def moment_of(text: str) -> datetime:
    """An ISO 8601 time; one without an offset is read in the zone of ``--timezone``, which must be given then."""
    text = text.strip()
    try:
        return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no ISO 8601 time; for example 2026-12-24T18:00:00+01:00") from None


def aware(option: str, moment: datetime | None) -> datetime | None:
    """The same, if it says its offset. :raises Failure: else."""
    if moment is not None and moment.utcoffset() is None:
        example = moment.replace(tzinfo=timezone.utc).isoformat()
        raise Failure(f"{option}: {moment.isoformat()} has no time zone; for example {example}", ExitCode.WRONG_USE)
    return moment


def from_json(option: str, text: str | None) -> Any:
    """What a JSON option says; None if it was not given. :raises Failure: for text that is no JSON."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"{option} is not JSON: {error}", ExitCode.WRONG_USE) from None

"""A record as the fields of a Redis hash, and as the arguments of the scripts.

``l`` lane, ``g`` generation, ``v`` version, ``t`` token, ``w`` write_id, ``o`` owner, ``u`` lease
end (empty for no lease), ``d`` document, ``b`` body (only where there is one).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery_pyncette.core import codec
from celery_pyncette.core.codec import Row
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record
from celery_pyncette.stores.protocol import Change
from celery_pyncette.stores.rows import entry_of

#: What a read asks for, in the order that ``read`` takes.
FIELDS = ("l", "g", "v", "t", "w", "d", "b", "o", "u")

Argument = str | int | bytes


def changed(change: Change) -> list[Argument]:
    """All arguments of ``apply.lua`` for one change. :raises ValueError: for one that no store could keep."""
    expect, record = change.expect, change.record
    arguments: list[Argument] = [
        "" if expect is None else expect.generation,
        "" if expect is None else expect.version,
        change.write_id,
        "" if change.lease_for is None else change.lease_for,
        "0" if record is None else "1",
        len(change.creates),
    ]
    if record is not None:
        if record.key != change.key:
            raise ValueError(f"a change of {change.key!r} carries the record {record.key!r}")
        until = None if change.lease_for is None else Instant(0)  # the script puts its own in place of it
        arguments += _written(entry_of(record, 0, change.write_id, until).row)
    for child in change.creates:
        arguments += _written(entry_of(child, 1, change.write_id).row)
    return arguments


def _written(row: Row) -> list[Argument]:
    owner, body = row.owner, row.body
    return [
        row.lane,
        row.generation,
        row.token,
        owner or "",
        "" if owner is None else row.until,
        row.ready_at,
        row.document,
        "0" if body is None else "1",
        body or b"",
    ]


def claimed(raw: Sequence[Any], owner: str, until: int) -> Record:
    """The record of one row of ``claim.lua``. :raises CorruptRecord: if it cannot be read."""
    return _record(raw[0].decode("utf-8", "replace"), raw[1:], owner, until)


def read(key: str, raw: Sequence[Any]) -> Record | None:
    """The record of an HMGET of ``FIELDS``, None where there is none. :raises CorruptRecord: if it cannot be read."""
    if raw[1] is None and raw[2] is None and raw[5] is None:
        return None
    owner, until = raw[7], raw[8]
    try:
        if not until:
            return _record(key, raw, None, 0)
        return _record(key, raw, owner.decode(), int(until))
    except (AttributeError, ValueError) as error:
        raise CorruptRecord(key, f"its lease is garbled: {error}") from error


def _record(key: str, raw: Sequence[Any], owner: str | None, until: int) -> Record:
    lane, generation, version, token, write_id, document, body = raw[:7]
    try:
        row = Row(
            key,
            int(lane),
            generation.decode(),
            int(version),
            int(token),
            write_id.decode(),
            owner,
            until,
            until,
            document.decode(),
            body,
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise CorruptRecord(key, f"a field is missing or garbled: {error}") from error
    return codec.decode(row)


def instant(time: Sequence[Any]) -> Instant:
    """What TIME answers, as an instant."""
    return Instant(int(time[0]) * 1000 + int(time[1]) // 1000)

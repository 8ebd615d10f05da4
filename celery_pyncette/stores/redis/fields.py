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
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Record
from celery_pyncette.stores.protocol import Change
from celery_pyncette.stores.rows import LONGEST, entry_of

#: What a read asks for, in the order that ``read`` takes.
FIELDS = ("l", "g", "v", "t", "w", "d", "b", "o", "u")

#: The fields of a record before its document.
_TEXTS = 7
#: So many characters are within every limit in bytes.
SHORT = LONGEST // 4


def changed(change: Change) -> list[bytes]:
    """The arguments of ``apply.lua`` for one change. :raises ValueError: for one that no store could keep."""
    expect, record = change.expect, change.record
    head = (
        ("", "") if expect is None else (expect.generation, str(expect.version)),
        (change.write_id, "" if change.lease_for is None else str(change.lease_for)),
        ("0" if record is None else "1", str(len(change.creates))),
    )
    fields = [*head[0], *head[1], *head[2]]
    if record is None:
        arguments: list[bytes] = ["\0".join([*fields, *[""] * (_TEXTS + 1)]).encode()]
    else:
        if record.key != change.key:
            raise ValueError(f"a change of {change.key!r} carries the record {record.key!r}")
        arguments = _written(fields, record, change.lease_for is not None)
    for child in change.creates:
        arguments += _written([], child, False)
    return arguments


def _written(fields: list[str], record: Record, lease_for: bool) -> list[bytes]:
    row, spec = codec.encode(record), record.spec
    owner, body = row.owner, row.body
    texts = (row.generation, owner or "", spec.name, spec.task)
    if max(map(len, texts)) > SHORT or any("\0" in text for text in texts) or (lease_for and owner is None):
        entry_of(record, 0, row.write_id, Instant(0) if lease_for else None)  # it says what is wrong, if anything is
    if not (0 <= row.ready_at <= NEVER and 0 <= row.until <= NEVER and 0 <= row.token <= NEVER):
        entry_of(record, 0, row.write_id)
    fields += (
        str(row.lane),
        row.generation,
        str(row.token),
        owner or "",
        "" if owner is None else str(row.until),
        str(row.ready_at),
        "0" if body is None else "1",
    )
    text = "\0".join(fields)
    if text.count("\0") != len(fields) - 1:
        raise ValueError(f"record {row.key!r}: its generation, write_id or that expected has a zero byte")
    packed = f"{text}\0{row.document}".encode()
    return [packed] if body is None else [packed, body]


def claimed(packed: bytes, body: bytes | None, owner: str, until: int) -> Record:
    """The record of one row of ``claim.lua``. :raises CorruptRecord: if it cannot be read."""
    try:
        key, lane, generation, version, token, write_id, document = packed.decode().split("\0", 6)
        row = Row(key, int(lane), generation, int(version), int(token), write_id, owner, until, until, document, body)
    except ValueError as error:
        key = packed.partition(b"\0")[0].decode("utf-8", "replace")
        raise CorruptRecord(key, f"a field is missing or garbled: {error}") from error
    return codec.decode(row)


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

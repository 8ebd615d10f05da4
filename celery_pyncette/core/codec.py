"""Record <-> plain data: what a store keeps beside the values it compares.

A stored record is a :class:`Row`. ``document`` is JSON in format ``FORMAT``; ``sig`` is reserved
for a signature. Fields that equal their default are left out, so a release can add fields: an older
one ignores what it does not know. A change that an older release must not ignore raises ``FORMAT``.

The part of it that is the entry: ``spec_data.py``, ``policy_data.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from celery_pyncette.core.errors import CorruptRecord, PyncetteError
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policy_data import policy_from_data, policy_to_data
from celery_pyncette.core.records import (
    Counters,
    Key,
    Lane,
    Lease,
    Outcome,
    Pause,
    Recent,
    Record,
    Run,
    Token,
)
from celery_pyncette.core.spec_data import spec_from_data, spec_to_data
from celery_pyncette.core.spec_texts import Texts

__all__ = [
    "FORMAT",
    "Row",
    "decode",
    "encode",
    "policy_from_data",
    "policy_to_data",
    "spec_from_data",
    "spec_to_data",
]

FORMAT = 1
_COMPACT = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=False, check_circular=False
).encode
_SCAN = json.JSONDecoder().raw_decode
_texts = Texts()
#: How every document begins: the entry stands first, so that its text can be told from the rest.
_HEAD = f'{{"f":{FORMAT},"spec":'


@dataclass(slots=True)
class Row:
    """A record as a store keeps it; ``owner`` is None where there is no lease.

    Not frozen, because that triples the time to make one; nobody changes it.
    """

    key: str
    lane: int
    generation: str
    version: int
    token: int
    write_id: str
    owner: str | None
    until: int
    ready_at: int
    document: str
    body: bytes | None = None


def encode(record: Record) -> Row:
    """The row of a record; its ``ready_at`` is the record's own (a store overrides it for ``lease_for``)."""
    lease = record.lease
    return Row(
        record.key,
        int(record.lane),
        record.generation,
        record.version,
        record.token,
        record.write_id,
        None if lease is None else lease.owner,
        0 if lease is None else lease.until,
        record.ready_at,
        f"{_HEAD}{_texts.of(record.spec) or _COMPACT(spec_to_data(record.spec))},{_COMPACT(_rest(record))[1:]}",
        record.body,
    )


def decode(row: Row) -> Record:
    """The record of a row.

    :raises CorruptRecord: if the document is not JSON, of a newer format, or lacks or garbles a field.
    """
    try:
        return _record(row, *_parts(row.document))
    except CorruptRecord:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, PyncetteError) as error:
        raise CorruptRecord(row.key, f"{type(error).__name__}: {error}"[:200]) from error


def _parts(document: str) -> tuple[dict[str, Any], Any, str | None]:
    """The rest of a document, its entry's data, and the text of that where it stands first."""
    if not document.startswith(_HEAD):
        doc = json.loads(document)
        return {"f": doc["f"], **doc}, doc["spec"], None
    spec, end = _SCAN(document, len(_HEAD))
    doc, last = _SCAN("{" + document[end + 1 :])
    if document[end : end + 1] != "," or end + last != len(document):
        raise ValueError("the document has something after its end")
    return doc, spec, document[len(_HEAD) : end]


def _rest(record: Record) -> dict[str, Any]:
    doc: dict[str, Any] = {"due": record.due_at}
    for name, field in _PLAIN:
        value = getattr(record, field)
        if value:
            doc[name] = value
    if record.run is not None:
        doc["run"] = _given(record.run)
    if record.paused is not None:
        doc["paused"] = _given(record.paused)
    if record.dead is not None:
        doc["dead"] = record.dead
    counters = record.counters
    if counters.expected or counters.started or counters.skipped:
        doc["count"] = [counters.expected, counters.started, counters.skipped]
    if record.recent:
        doc["recent"] = [_given(line) for line in record.recent]
    if record.data is not None:
        doc["data"] = dict(record.data)
    return doc


def _record(row: Row, doc: dict[str, Any], spec_data: Any, text: str | None) -> Record:
    if doc.get("f", FORMAT) > FORMAT:
        raise CorruptRecord(row.key, f"format {doc['f']} is newer than this release reads ({FORMAT}); upgrade it")
    get = doc.get
    run, paused, recent = get("run"), get("paused"), get("recent")
    spec = spec_from_data(spec_data)
    if text is not None:
        _texts.keep(spec, text)
    return Record(
        key=Key(row.key),
        lane=_LANES[row.lane],
        generation=row.generation,
        spec=spec,
        timing=get("timing", ""),
        payload=get("payload", ""),
        created_at=get("made", 0),
        anchor=get("anchor", 0),
        due_at=_whole(doc["due"]),
        run=None if run is None else _run(run),
        lease=None if row.owner is None else Lease(owner=row.owner, until=Instant(row.until)),
        paused=None if paused is None else Pause(**_known(Pause, paused)),
        removed=get("removed", False),
        dead=get("dead"),
        version=row.version,
        token=Token(row.token),
        write_id=row.write_id,
        epoch=get("epoch", 0),
        counters=Counters(*doc["count"]) if "count" in doc else Counters(),
        recent=() if recent is None else tuple(Recent(**_known(Recent, line)) for line in recent),
        data=get("data"),
        body=row.body,
    )


def _run(data: dict[str, Any]) -> Run:
    known = _known(Run, data)
    if "outcome" in known:
        known["outcome"] = Outcome(known["outcome"])
    return Run(**known)


def _given(value: Run | Pause | Recent) -> dict[str, Any]:
    return {name: v for name, default in _DEFAULTS[type(value)] if (v := getattr(value, name)) != default}


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    names = _NAMES[kind]
    return {name: value for name, value in data.items() if name in names}


def _whole(value: Any) -> Instant:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a whole number of milliseconds")
    return Instant(value)


_LANES = {lane.value: lane for lane in Lane}
#: Fields that are left out where they are false, by their name in the document.
_PLAIN = (
    *(("timing", "timing"), ("payload", "payload"), ("made", "created_at"), ("anchor", "anchor")),
    *(("removed", "removed"), ("epoch", "epoch")),
)
_DEFAULTS: dict[type, list[tuple[str, Any]]] = {
    kind: [(f.name, f.default) for f in fields(kind)] for kind in (Run, Pause, Recent)
}
_NAMES: dict[type, frozenset[str]] = {kind: frozenset(f.name for f in fields(kind)) for kind in (Run, Pause, Recent)}

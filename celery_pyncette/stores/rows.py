"""What every store that decides in Python shares: checked rows, verdicts, and what a scan looks at.

Memory and SQL read the :class:`Head` of each key, ask :func:`settle`, and write what it answers.
Redis does the same inside its script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from celery_pyncette.core.codec import Row, encode
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import partition_of
from celery_pyncette.core.records import Key, Record
from celery_pyncette.stores.protocol import Change, Expected, Query, Verdict, Written

#: The longest key, name, task or owner, in bytes of UTF-8.
LONGEST = 600


@dataclass(frozen=True, slots=True)
class Head:
    """What a store compares of a record."""

    generation: str
    version: int
    write_id: str


@dataclass(frozen=True, slots=True)
class Facets:
    """What a scan filters by."""

    origin: str
    task: str
    name: str
    paused: bool
    running: bool
    dead: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A row and its facets: one thing to write."""

    row: Row
    facets: Facets


@dataclass(slots=True)
class Settled:
    """What became of some changes, and what is left to write."""

    written: list[Written] = field(default_factory=list)
    inserts: list[Entry] = field(default_factory=list)
    updates: list[Entry] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)


def facets_of(record: Record) -> Facets:
    """What a scan sees of a record."""
    spec, run = record.spec, record.run
    return Facets(
        spec.origin.value,
        spec.task,
        spec.name,
        record.paused is not None,
        run is not None and run.is_running,
        record.dead is not None,
    )


def entry_of(record: Record, version: int, write_id: str, until: Instant | None = None) -> Entry:
    """A record as it is written: with this version and write id, and with its lease ending at ``until`` if given.

    :raises ValueError: if no store could keep it: a key, name, task or owner beyond ``LONGEST``
        bytes or with a NUL, text that is not Unicode, a time of 2**53 or more, ``until`` without a lease.
    """
    row = encode(record)
    if until is not None and row.owner is None:
        raise ValueError(f"record {record.key!r}: lease_for needs a lease that names the owner")
    ready_at, until = (row.ready_at, Instant(row.until)) if until is None else (until, until)
    made = Row(
        row.key,
        row.lane,
        row.generation,
        version,
        row.token,
        write_id,
        row.owner,
        until,
        ready_at,
        row.document,
        row.body,
    )
    facets = facets_of(record)
    _check(made, facets)
    return Entry(made, facets)


def check_key(key: str) -> None:
    """:raises ValueError: unless it is 1 to ``LONGEST`` bytes of UTF-8 without a NUL."""
    if not key or len(key.encode()) > LONGEST or "\0" in key:
        raise ValueError(f"key {key[:80]!r}: a key has 1 to {LONGEST} bytes of UTF-8, none of them zero")


def _check(row: Row, facets: Facets) -> None:
    row.document.encode()
    for what, text in (("name", facets.name), ("task", facets.task), ("owner", row.owner or "")):
        if len(text.encode()) > LONGEST or "\0" in text:
            raise ValueError(f"record {row.key[:80]!r}: its {what} has a zero byte or more than {LONGEST} bytes")
    if not (0 <= row.ready_at <= NEVER and 0 <= row.until <= NEVER and 0 <= row.token <= NEVER):
        raise ValueError(f"record {row.key!r}: ready_at, lease.until and token are 0 to {NEVER}")


def keys_of(changes: Sequence[Change]) -> list[str]:
    """Every key that some changes touch, sorted: the order in which they are locked."""
    keys = {str(change.key) for change in changes}
    keys.update(child.key for change in changes for child in change.creates)
    return sorted(keys)


def settle(changes: Sequence[Change], heads: Mapping[str, Head], now: Instant) -> Settled:
    """Decide each change against what is stored; pure. ``heads`` has the keys of :func:`keys_of` that exist.

    :raises ValueError: for a change that contradicts itself or cannot be stored.
    """
    settled = Settled()
    known = dict(heads)
    for change in changes:
        settled.written.append(_settle_one(change, known, now, settled))
    return settled


def _settle_one(change: Change, known: dict[str, Head], now: Instant, settled: Settled) -> Written:
    head = known.get(change.key)
    refused = _refusal(change, head, known)
    if refused is not None:
        return refused
    until = None if change.lease_for is None else Instant(now + change.lease_for)
    version = 1 if change.expect is None else change.expect.version + 1
    children = [entry_of(child, 1, change.write_id) for child in change.creates]
    if change.record is None:
        version = 0
        if head is not None:
            settled.deletes.append(change.key)
            del known[change.key]
    else:
        entry = entry_of(change.record, version, change.write_id, until)
        (settled.inserts if head is None else settled.updates).append(entry)
        known[change.key] = _head_of(entry)
    settled.inserts.extend(children)
    known.update((child.row.key, _head_of(child)) for child in children)
    return Written(Verdict.APPLIED, version)


def _refusal(change: Change, head: Head | None, known: Mapping[str, Head]) -> Written | None:
    """The answer to a change that is not written, or None. A write that is asked again is known by its id."""
    expect = change.expect
    if change.record is not None and change.record.key != change.key:
        raise ValueError(f"a change of {change.key!r} carries the record {change.record.key!r}")
    if head is not None and change.record is not None and head.write_id == change.write_id:
        return Written(Verdict.APPLIED, 1 if expect is None else expect.version + 1)
    if expect is None and head is not None:
        return Written(Verdict.EXISTS)
    if expect is not None and head is None:
        return Written(Verdict.MISSING)
    if expect is not None and head is not None and expect != Expected(head.generation, head.version):
        return Written(Verdict.STALE)
    if any(child.key in known or child.key == change.key for child in change.creates):
        return Written(Verdict.EXISTS)
    return None


def _head_of(entry: Entry) -> Head:
    return Head(entry.row.generation, entry.row.version, entry.row.write_id)


def is_new(change: Change) -> bool:
    """Whether it makes one record, and needs nothing of the store but that this is not there."""
    record = change.record
    plain = change.expect is None and change.lease_for is None and not change.creates
    return plain and record is not None and record.key == change.key


def check_siblings(changes: Sequence[Change], partitions: int) -> None:
    """:raises ValueError: for a key that no store can keep, or a record made in another partition than its maker's."""
    for change in changes:
        check_key(change.key)
        home = partition_of(change.key, partitions)
        for child in change.creates:
            check_key(child.key)
            if partition_of(child.key, partitions) != home:
                raise ValueError(f"{child.key!r} is not in the partition of {change.key!r}, which creates it")


def matches(query: Query, key: Key, facets: Facets) -> bool:
    """Whether a scan answers this record."""
    wanted = (query.paused, query.running, query.dead)
    return (
        key.startswith(query.prefix)
        and (query.origin is None or query.origin.value == facets.origin)
        and (query.task is None or query.task == facets.task)
        and (query.name_prefix is None or facets.name.startswith(query.name_prefix))
        and all(w is None or w == f for w, f in zip(wanted, (facets.paused, facets.running, facets.dead), strict=True))
    )

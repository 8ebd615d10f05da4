"""Documents as stores keep them: read, written back, garbled, of another release."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from celery_pyncette.core import codec
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Record
from celery_pyncette.core.schedules import Cron, Every
from celery_pyncette.stores.redis import fields
from celery_pyncette.testing.contract.samples import PAUSED, REPORTED, create, sample

RECORDS = [
    sample("d:a"),
    sample("d:ü", 5, kwargs={"text": '"{}\\ \u2028', "nested": [{"a": [1, None]}]}, run=REPORTED, paused=PAUSED),
    sample("e:x", 7, body=b"\0\xff", removed=True, epoch=3, timing="t", payload="p", anchor=Instant(9)),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.key)
def test_a_record_that_was_read_is_written_back_like_a_new_one(record: Record) -> None:
    read = codec.decode(codec.encode(record))
    assert read == record
    moved = replace(read, due_at=Instant(99), recent=())
    fresh = replace(moved, spec=replace(moved.spec))  # an equal entry that was never read
    assert codec.encode(moved) == codec.encode(fresh)
    edited = replace(read, spec=replace(read.spec, task="tasks.other"))
    assert codec.decode(codec.encode(edited)) == edited


def test_texts_of_entries_that_were_read_long_ago_are_forgotten() -> None:
    first = codec.decode(codec.encode(sample("d:first")))
    many = [codec.decode(codec.encode(sample(f"d:{n}"))) for n in range(3000)]
    for record in [first, *many[::500]]:
        assert codec.decode(codec.encode(record)) == record
    assert len(codec._texts._new) + len(codec._texts._old) <= 2 * codec._texts._ROOM


def test_what_a_newer_release_wrote_into_an_entry_survives() -> None:
    row = codec.encode(sample("d:a"))
    newer = row.document.replace('"spec":{', '"spec":{"colour":"red",')
    read = codec.decode(replace(row, document=newer))
    assert json.loads(codec.encode(replace(read, due_at=Instant(5))).document)["spec"]["colour"] == "red"


def test_any_order_of_fields_is_read() -> None:
    row = codec.encode(sample("d:a", 5))
    document = json.dumps(dict(reversed(json.loads(row.document).items())))
    assert codec.decode(replace(row, document=document)) == codec.decode(row)


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "",
        "[]",
        "null",
        '{"f":1,"spec":',
        '{"f":1,"spec":{}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"dynamic"}}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"dynamic"},}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"dynamic"},"due":5}x',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"dynamic"};"due":5}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"nobody"},"due":5}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":[]},"due":5}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"dynamic"},"due":"5"}',
        '{"f":2,"spec":{"name":"a","task":"t","origin":"dynamic"},"due":5}',
        '{"spec":{"name":"a","task":"t","origin":"dynamic"},"due":5}',
        '{"f":1,"spec":{"name":"a","task":"t","origin":"dynamic","schedule":{"kind":"every","ms":true}},"due":5}',
        "[" * 100_000,
        '{"f":1,"spec":' + "[" * 100_000,
    ],
    ids=lambda d: d[:90],
)
def test_garbled_documents_are_corrupt(document: str) -> None:
    codec.decode(codec.encode(sample("d:a")))
    with pytest.raises(CorruptRecord):
        codec.decode(replace(codec.encode(sample("d:a")), document=document))


def test_equal_schedules_are_one_object_and_like_ones_are_not() -> None:
    minute, cron = sample("d:a"), sample("d:b")
    read = [
        codec.decode(codec.encode(replace(record, spec=replace(record.spec, schedule=schedule)))).spec.schedule
        for record, schedule in [(minute, Every(60)), (cron, Cron("0 0 * * *")), (cron, Every(60)), (minute, Every(61))]
    ]
    assert read == [Every(60), Cron("0 0 * * *"), Every(60), Every(61)]
    assert read[0] is read[2]


@pytest.mark.parametrize("field", ["generation", "write_id", "name", "task"])
def test_a_zero_byte_where_it_would_part_fields_is_refused(field: str) -> None:
    record = sample("d:a")
    if field in ("name", "task"):
        change = create(replace(record, spec=replace(record.spec, **{field: "a\0b"})))
    elif field == "generation":
        change = create(replace(record, generation="a\0b"))
    else:
        change = replace(create(record), write_id="a\0b")
    with pytest.raises(ValueError, match="zero byte"):
        fields.changed(change)

"""Messages as bytes, values that JSON lacks, queues as data."""

from __future__ import annotations

import json
import random
import uuid
import zlib
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Exchange, Queue
from kombu.entity import binding

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.declarations import data_of, entity_of
from celery_pyncette.engine.parking import Message, Waiting, identity, key_of, meaning_of, pack, record_of, unpack
from celery_pyncette.engine.plain import of_plain, to_plain

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=50),
    st.datetimes(timezones=st.just(timezone.utc)),
    st.dates(),
    st.times(),
    st.uuids(),
    st.decimals(allow_nan=False, allow_infinity=False),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=15
)


@given(VALUES)
def test_values_come_back(value: Any):
    assert of_plain(to_plain(value)) == value


def test_the_types_come_back_too():
    value = [
        b"x",
        datetime(2030, 1, 1, tzinfo=timezone.utc),
        date(2030, 1, 1),
        time(1, 2),
        Decimal("1.10"),
        uuid.uuid4(),
    ]
    again = of_plain(to_plain(value))
    assert [type(one) for one in again] == [type(one) for one in value]
    assert to_plain((1, 2)) == [1, 2]


@pytest.mark.parametrize("value", [object(), {1: 2}, {"\0pyncette": "bytes"}, [lambda: 0]])
def test_what_cannot_come_back_is_refused(value: Any):
    with pytest.raises((TypeError, ValueError)):
        to_plain(value)


@given(st.binary(max_size=200), st.dictionaries(NAMES, VALUES, max_size=6), st.dictionaries(NAMES, VALUES, max_size=4))
def test_messages_come_back(body: bytes, headers: dict[str, Any], sending: dict[str, Any]):
    message = Message(body=body, headers=headers, sending=sending, declare=({"name": "q"},), queue="q")
    assert unpack(pack(message)) == message


def plain(body: bytes) -> Message:
    return Message(body=body, headers={"argsrepr": "x" * 1000}, sending={})


@pytest.mark.parametrize("size", [0, 1024, 1025, 23_999, 24_000, 70_000])
def test_bodies_of_every_size_come_back(size: int):
    body = bytes(range(256)) * (size // 256 + 1)
    for message in (plain(body[:size]), plain(random.Random(size).randbytes(size))):
        assert unpack(pack(message)) == message


def test_large_bodies_are_deflated():
    body = json.dumps([[{"order": number, "note": "leave it at the door"} for number in range(250)], {}, {}]).encode()
    assert len(body) > 10_000
    assert len(pack(plain(body))) < len(body) / 3


@pytest.mark.parametrize("body", [b"x" * 1024, random.Random(1).randbytes(10_000)], ids=["small", "without a pattern"])
def test_what_is_small_or_would_not_shrink_stays_as_it_is(body: bytes):
    frame = pack(plain(body))
    assert frame[0] == 1
    assert frame.endswith(body)


def test_a_frame_of_the_first_format_is_read():
    """Written down, because whatever a store holds must be readable in every later release."""
    frame = bytes.fromhex(FIRST_FORMAT)
    assert unpack(frame) == Message(
        body=b'[["alice"], {}, {}]',
        headers={"task": "proj.add", "id": "7f", "argsrepr": "('alice',)"},
        sending={"exchange": "", "routing_key": "mail"},
        declare=({"name": "mail"},),
        queue="mail",
    )


#: What the first release wrote.
FIRST_FORMAT = (
    "0100000031034a42134941517e965e624a0a2cb198a7a185bd3a382faaeb682a813c8eea43d460c84dcccc41b1182200b416"
    "cc8805005b5b22616c696365225d2c207b7d2c207b7d5d"
)


def test_a_body_that_would_fill_the_memory_is_refused():
    """Of 64 MiB that claim to be less, no more is unpacked than was claimed; more cannot be claimed."""
    frame = pack(plain(b"x" * (1 << 26)))
    assert len(frame) < 100_000
    assert frame[0] == 2
    ends = 5 + int.from_bytes(frame[1:5], "big")
    for claimed in (0, 1000, (1 << 26) + 1, (1 << 32) - 1):
        with pytest.raises(ValueError, match="its body"):
            unpack(frame[:ends] + claimed.to_bytes(4, "big") + frame[ends + 4 :])


SMALL = pack(Message(body=b"b", headers={}, sending={}))
LARGE = pack(plain(b"0123456789" * 200))


@given(st.binary(max_size=60), st.integers(0, 80))
def test_rubbish_is_a_value_error(rubbish: bytes, at: int):
    cut = [frame[: max(0, len(frame) - at)] + rubbish for frame in (SMALL, LARGE)]
    for bad in (rubbish, b"\x01" + rubbish, b"\x02" + rubbish, b"\x02\0\0\0\x02\x03\0" + rubbish, *cut):
        try:
            unpack(bad)
        except ValueError:
            continue


@pytest.mark.parametrize(
    "told",
    [
        None,
        [1, {}, [], ""],
        [{}, "", [], ""],
        [{}, {}, 5, ""],
        [{}, {}, [5], ""],
        [{}, {}, [], None],
        [{"x": {"\0pyncette": "uuid", "v": 5}}, {}, [], ""],
    ],
    ids=str,
)
def test_json_that_is_no_message_is_a_value_error(told: Any):
    """Whoever lists or sends others, too, is ready for that, and for nothing else."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    text = deflate.compress(json.dumps(told).encode()) + deflate.flush()
    with pytest.raises(ValueError, match="headers cannot be read"):
        unpack(b"\x01" + len(text).to_bytes(4, "big") + text + b"[]")


def test_the_arguments_in_the_headers_cost_next_to_nothing():
    """They stand in the body already."""
    words = " ".join(uuid.uuid4().hex for _ in range(25))
    bare = Message(body=f'[["{words}"], {{}}, {{}}]'.encode(), headers={"argsrepr": "()"}, sending={})
    full = Message(body=bare.body, headers={"argsrepr": f"('{words}',)"}, sending={})
    assert len(pack(full)) - len(pack(bare)) < 30


def test_keys_say_task_id_and_retries():
    for task_id in ("x", "a:b", "ü" * 10, "9f0a"):
        assert identity(key_of(task_id, 12)) == (task_id, 12)


def record(waiting: Waiting, now: int = 0):
    message = Message(body=b"[]", headers={"id": "x", "task": "t", "retries": 2}, sending={})
    return record_of(message, pack(message), waiting, Instant(now), "gen")


def test_an_expired_message_is_never_sent():
    meaning = meaning_of(record(Waiting(due_at=Instant(50_000), expires_at=Instant(60_000))), Rules())
    assert meaning.rules.expires_at == 60_000
    assert meaning_of(record(Waiting(due_at=Instant(50_000))), Rules()).rules == Rules()


def test_a_record_without_a_message_is_corrupt():
    from dataclasses import replace

    with pytest.raises(CorruptRecord):
        meaning_of(replace(record(Waiting(due_at=Instant(5))), body=None), Rules())


def test_a_message_that_a_newer_release_packed_is_left_to_its_beats():
    """As any record of a newer format: to skip it as one that cannot be sent would lose it in a rolling deploy."""
    from dataclasses import replace

    newer = replace(record(Waiting(due_at=Instant(5))), body=b"\x03" + pack(plain(b"[]"))[1:])
    with pytest.raises(CorruptRecord, match="format 3 is newer than this release reads"):
        meaning_of(newer, Rules())
    for over in (replace(newer, removed=True), replace(newer, dead=Instant(7))):
        assert meaning_of(over, Rules()).spec == newer.spec


def test_only_what_is_due_very_soon_may_leave_a_tombstone():
    assert record(Waiting(due_at=Instant(50_000)), now=30_000).created_at == 0
    assert record(Waiting(due_at=Instant(50_000)), now=45_000).created_at == 45_000


QUEUES = [
    Queue("celery", Exchange("celery"), "celery"),
    Queue("plain"),
    Queue("quorum", Exchange("quorum", "topic"), "a.#", queue_arguments={"x-queue-type": "quorum"}),
    Queue("short", Exchange("short"), "short", durable=False, auto_delete=True, max_priority=9, message_ttl=5.0),
    Queue("fan", Exchange("fan", "fanout", durable=False, delivery_mode=1), ""),
    Queue("bound", [binding(Exchange("one", "topic"), routing_key="x.y", arguments={"a": 1})]),
    Exchange("lonely", "headers", arguments={"alternate-exchange": "other"}),
]


@pytest.mark.parametrize("entity", QUEUES, ids=lambda entity: entity.name)
def test_queues_come_back(entity: Any):
    data = data_of(entity)
    assert data is not None
    again = entity_of(of_plain(to_plain(data)))
    assert type(again) is type(entity)
    left, right = again.as_dict(recurse=True), entity.as_dict(recurse=True)
    assert {name: value or None for name, value in left.items()} == {
        name: value or None for name, value in right.items()
    }
    assert entity_of(data).name == entity.name


def test_a_queue_as_celery_makes_it_is_its_name():
    assert data_of(Queue("mail", Exchange("mail"), "mail")) == {"name": "mail"}
    assert data_of("mail") is None

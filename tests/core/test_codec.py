"""Records survive their stored form, and what is none is told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_pyncette.core.codec import FORMAT, Row, decode, encode
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import NEVER
from celery_pyncette.core.policies import CatchUp, Delivery, Heartbeat, OnFailure, OnLeaseLost, Overlap, Policy
from celery_pyncette.core.records import (
    Counters,
    EntrySpec,
    Key,
    Lane,
    Lease,
    Origin,
    Outcome,
    Pause,
    Recent,
    Record,
    Run,
)
from celery_pyncette.core.schedules import Cron, CronFields, Every, Jitter, Once, Solar

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SOME = TEXT.filter(bool)
TIME = st.integers(0, NEVER)
SOON = st.integers(1, 10**14)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SPAN = st.integers(1, 10**9).map(lambda ms: timedelta(milliseconds=ms))
SCHEDULES = st.one_of(
    st.sampled_from(
        [Cron("*/5 * * * *"), Cron("H 3 * * 1"), CronFields(minute=frozenset({5})), Solar("sunset", 52.5, 13.4)]
    ),
    st.builds(Every, SPAN, relative=st.booleans()),
    st.builds(Once, SOON),
)
BACKOFFS = st.tuples(SPAN, SPAN).map(lambda pair: (min(pair), max(pair)))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


POLICIES = st.builds(
    Policy,
    delivery=maybe(st.sampled_from(Delivery)),
    result_aware=maybe(st.booleans()),
    catch_up=maybe(st.sampled_from(CatchUp)),
    grace=maybe(SPAN),
    overlap=maybe(st.sampled_from(Overlap)),
    on_failure=maybe(st.sampled_from(OnFailure)),
    max_attempts=maybe(st.integers(1, 99)),
    backoff=maybe(BACKOFFS),
    lease=maybe(SPAN),
    start_within=maybe(SPAN),
    start_attempts=maybe(st.integers(1, 9)),
    max_run=maybe(SPAN),
    on_lease_lost=maybe(st.sampled_from(OnLeaseLost)),
    heartbeat=maybe(st.sampled_from(Heartbeat)),
)
SPECS = st.builds(
    EntrySpec,
    name=SOME,
    task=SOME,
    origin=st.sampled_from(Origin),
    schedule=maybe(SCHEDULES),
    description=TEXT,
    args=st.lists(JSON, max_size=3).map(tuple),
    kwargs=st.dictionaries(TEXT, JSON, max_size=3),
    options=st.dictionaries(TEXT, JSON, max_size=3),
    timezone=maybe(st.sampled_from(["Europe/Berlin", "UTC"])),
    start=maybe(SOON),
    end=maybe(SOON),
    max_runs=maybe(st.integers(1, 99)),
    jitter=maybe(st.builds(Jitter, SPAN, st.sampled_from(["random", "hash"]))),
    policy=maybe(POLICIES),
    tenant=maybe(SOME),
    enabled=st.booleans(),
)
RUNS = st.builds(
    Run,
    due_at=TIME,
    generation=TEXT,
    attempt=st.integers(1, 99),
    unstarted=st.integers(0, 99),
    failures=st.integers(0, 99),
    starts=st.integers(0, 99),
    retries=st.integers(0, 99),
    task_id=TEXT,
    deadline=maybe(TIME),
    dispatched_at=maybe(TIME),
    until=TIME,
    poll_at=TIME,
    nonce=maybe(TEXT),
    token=maybe(TIME),
    started_at=maybe(TIME),
    ended_at=maybe(TIME),
    worker=maybe(TEXT),
    outcome=maybe(st.sampled_from(Outcome)),
    reason=maybe(TEXT),
    replan=st.booleans(),
)
LINES = st.builds(Recent, due_at=TIME, outcome=TEXT, attempt=st.integers(1, 9), dispatched_at=maybe(TIME), beat=TEXT)
RECORDS = st.builds(
    Record,
    key=SOME.map(lambda text: Key("d:" + text)),
    lane=st.sampled_from(Lane),
    generation=TEXT,
    spec=SPECS,
    timing=TEXT,
    payload=TEXT,
    created_at=TIME,
    anchor=TIME,
    due_at=TIME,
    run=maybe(RUNS),
    lease=maybe(st.builds(Lease, owner=TEXT, until=TIME)),
    paused=maybe(st.builds(Pause, note=TEXT, until=TIME, catch_up=maybe(st.sampled_from(["all", "none"])))),
    removed=st.booleans(),
    dead=maybe(TIME),
    version=st.integers(0, 2**40),
    token=TIME,
    write_id=TEXT,
    epoch=st.integers(0, 99),
    counters=st.builds(Counters, st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)),
    recent=st.lists(LINES, max_size=3).map(tuple),
    data=maybe(st.dictionaries(TEXT, JSON, max_size=3)),
    body=maybe(st.binary(max_size=9)),
)


@given(RECORDS)
def test_any_record_survives_its_stored_form(record: Record) -> None:
    row = encode(record)
    assert decode(row) == record
    assert row.ready_at == record.ready_at
    assert json.loads(row.document)["f"] == FORMAT


def row(**changes: Any) -> Row:
    spec = EntrySpec(name="e", task="t", origin=Origin.DYNAMIC, schedule=Every(60))
    encoded = encode(Record(key=Key("d:e"), lane=Lane.ENTRIES, generation="g", spec=spec, counters=Counters(1, 1, 0)))
    document = json.loads(encoded.document)
    for path, value in changes.items():
        *parents, last = path.split("__")
        inner = document
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return replace(encoded, document=json.dumps(document))


def test_what_an_older_release_does_not_know_it_ignores() -> None:
    assert decode(row(novelty=1, spec__novelty=2)) == decode(row())


@pytest.mark.parametrize(
    "changes",
    [
        {"f": FORMAT + 1},
        {"f": "1"},
        {"due": None},
        {"due": True},
        {"due": "soon"},
        {"spec": None},
        {"spec": []},
        {"spec__origin": "elsewhere"},
        {"spec__schedule": {"kind": "every", "ms": 0}},
        {"spec__schedule": {"kind": "lunar"}},
        {"spec__policy": {"delivery": "twice"}},
        {"spec__policy": {"grace": "long"}},
        {"run": 7},
        {"run": {"attempt": 1}},
        {"run": {"due_at": 1, "generation": "g", "outcome": "unheard of"}},
        {"paused": "yes"},
        {"count": [1, 2, 3, 4]},
        {"recent": [{}]},
        {"recent": 3},
    ],
    ids=str,
)
def test_what_is_garbled_is_told_with_its_key(changes: dict[str, Any]) -> None:
    with pytest.raises(CorruptRecord) as error:
        decode(row(**changes))
    assert error.value.key == "d:e"


@pytest.mark.parametrize("document", ["", "null", "[]", "{}", "{", "[" * 100_000, '{"f": 1}'])
def test_what_is_no_document_is_told_with_its_key(document: str) -> None:
    with pytest.raises(CorruptRecord, match="d:e"):
        decode(replace(row(), document=document))


def test_a_newer_format_asks_for_an_upgrade() -> None:
    with pytest.raises(CorruptRecord, match="upgrade"):
        decode(row(f=FORMAT + 1))


def test_an_unknown_lane_is_corrupt() -> None:
    with pytest.raises(CorruptRecord):
        decode(replace(row(), lane=99))

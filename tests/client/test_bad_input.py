"""What is refused where the caller is: the field, the value and the rule are named, and nothing is written."""

from __future__ import annotations

import enum
import json
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from celery.schedules import crontab, schedule, solar
from hypothesis import given
from hypothesis import strategies as st

from celery_pyncette import Cron, Every, InvalidEntry, Once, Policy, get_task, schedule_tasks
from celery_pyncette.core.codec import decode, encode
from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.edits import Definition, create
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.schedules import Jitter
from celery_pyncette.entry_checks import check_name, plain
from celery_pyncette.entry_forms import dynamic_key, understood
from celery_pyncette.reading import zone_of
from celery_pyncette.schedule_forms import Form
from tests.client.setting import Setting, app_of

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("name", {"name": ""}, "1 to 255 bytes"),
    ("name", {"name": "é" * 128}, "this has 256"),
    ("name", {"name": "a\nb"}, "control"),
    ("name", {"name": "a\u202eb"}, "bidi"),
    ("name", {"name": "a\ud800"}, "surrogates"),
    ("name", {"name": 7}, "string"),
    ("task", {"task": ""}, "1 to 255"),
    ("task", {"task": "os.system"}, "pyncette_allowed_tasks"),
    ("task", {"task": None}, "string"),
    ("schedule", {}, "exactly one"),
    ("interval", {"schedule": "@daily", "interval": 5}, "exactly one"),
    ("execute_at", {"interval": 5, "execute_at": NOON}, "exactly one"),
    ("schedule", {"schedule": "* * * *"}, "5 fields"),
    ("schedule", {"schedule": "0 30 2 * * *"}, "seconds='first' reads it as '30 2 \\* \\* \\*'"),
    ("schedule", {"schedule": "61 * * * *"}, "is not a cron string"),
    ("schedule", {"schedule": "*/0 * * * *"}, "is not a cron string"),
    ("schedule", {"schedule": "R * * * *"}, "H is stable"),
    ("schedule", {"schedule": "٣ * * * *"}, "ASCII"),
    ("schedule", {"schedule": "1," * 200 + "1 * * * *"}, "256 characters"),
    ("schedule", {"schedule": 60}, "interval="),
    ("schedule", {"schedule": NOON}, "execute_at="),
    ("schedule", {"schedule": schedule(60, nowfun=lambda: NOON)}, "cannot be stored"),
    ("schedule", {"schedule": object()}, "schedule object"),
    *[("interval", {"interval": bad}, "must be") for bad in (0, -1, math.nan, math.inf, True, "60", timedelta(0))],
    ("execute_at", {"execute_at": datetime(2030, 1, 1)}, "no time zone"),
    ("execute_at", {"execute_at": "2030-01-01"}, "datetime"),
    ("execute_at", {"execute_at": datetime(1960, 1, 1, tzinfo=timezone.utc)}, "1970"),
    ("start", {"execute_at": NOON, "start": NOON}, "stands alone"),
    ("start", {"interval": 5, "start": datetime(2030, 1, 1)}, "no time zone"),
    ("end", {"interval": 5, "start": NOON, "end": NOON - timedelta(1)}, "before start"),
    *[("max_runs", {"interval": 5, "max_runs": bad}, "whole number") for bad in (0, True, 1.5, "3", 2**60)],
    ("max_runs", {"execute_at": NOON, "max_runs": 2}, "one run"),
    ("jitter", {"interval": 5, "jitter": -1}, "must be"),
    ("timezone", {"interval": 5, "timezone": "Mars/Olympus"}, "known time zone"),
    ("timezone", {"interval": 5, "timezone": 3}, "name of a time zone"),
    ("args", {"interval": 5, "args": "abc"}, "list or tuple"),
    ("args[1].when[0]", {"interval": 5, "args": [1, {"when": [NOON]}]}, "a datetime is not JSON"),
    ("args[0]", {"interval": 5, "args": [math.nan]}, "NaN"),
    ("args[0]", {"interval": 5, "args": [{1, 2}]}, "a set is not JSON"),
    ("args[0]", {"interval": 5, "args": [b"x"]}, "a bytes is not JSON"),
    ("args[0]", {"interval": 5, "args": [10**5000]}, "digits"),
    ("kwargs.a", {"interval": 5, "kwargs": {"a": "\udc00"}}, "surrogate"),
    ("kwargs", {"interval": 5, "kwargs": {1: 2}}, "keys of a dict must be strings"),
    ("kwargs", {"interval": 5, "kwargs": [1]}, "dict"),
    ("kwargs", {"interval": 5, "kwargs": {"blob": "x" * 300_000}}, "pyncette_max_payload allows 262144"),
    ("policy.ping", {"interval": 5, "policy": Policy(ping={"start": "http://h"})}, "pyncette_policies only"),
    ("policy.delivry", {"interval": 5, "policy": {"delivry": "x"}}, "did you mean 'delivery'"),
    ("delivery", {"interval": 5, "policy": {"delivery": "twice"}}, "one of"),
    ("policy", {"interval": 5, "policy": "at_most_once"}, "Policy or a dict"),
    ("overlap", {"interval": 5, "policy": {"overlap": "forbid"}}, "result_aware"),
    ("grace", {"interval": 5, "policy": {"grace": 2}}, "pyncette_claim_time"),
    ("tenant", {"interval": 5, "tenant": "a\0"}, "control"),
    ("options.expires", {"interval": 5, "policy": {"result_aware": True}, "options": {"expires": 3}}, "claim_time"),
    ("options.expires", {"execute_at": NOON, "options": {"expires": NOON - timedelta(1)}}, "first due time"),
    ("options.expires", {"interval": 5, "options": {"expires": 0}}, "above zero"),
    ("options.expires", {"interval": 5, "options": {"expires": "soon"}}, "ISO 8601"),
    ("options.serializer", {"interval": 5, "options": {"serializer": "pickle"}}, "'json' only"),
    ("options.task_id", {"interval": 5, "options": {"task_id": "x"}}, "id of its own"),
    ("options.eta", {"interval": 5, "options": {"eta": NOON}}, "execute_at"),
    ("options.link", {"interval": 5, "options": {"link": {}}}, "is not accepted"),
    ("options.producer", {"interval": 5, "options": {"producer": object()}}, "is not accepted"),
    ("options.connection", {"interval": 5, "options": {"connection": object()}}, "is not accepted"),
    ("options.quue", {"interval": 5, "options": {"quue": "x"}}, "did you mean 'queue'"),
    ("options.queue", {"interval": 5, "options": {"queue": object()}}, "string"),
    ("options.priority", {"interval": 5, "options": {"priority": 300}}, "0 to 255"),
    ("options.headers.id", {"interval": 5, "options": {"headers": {"id": "x"}}}, "header of the protocol"),
    ("options.headers.pyncette", {"interval": 5, "options": {"headers": {"pyncette": {}}}}, "header of the protocol"),
    ("options.headers.x", {"interval": 5, "options": {"headers": {"x": object()}}}, "not JSON"),
    ("options.soft_time_limit", {"interval": 5, "options": {"soft_time_limit": 9, "time_limit": 5}}, "above"),
    ("options.retry_policy.x", {"interval": 5, "options": {"retry_policy": {"x": 1}}}, "must be one of"),
    ("options", {"interval": 5, "options": "queue"}, "dict"),
]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.fixture
def strict() -> Setting:
    return Setting(app=app_of(pyncette_allowed_tasks=["shop.*"]))


@pytest.mark.parametrize(("field", "more", "rule"), BAD, ids=[f"{row[0]}-{place}" for place, row in enumerate(BAD)])
def test_it_is_refused_and_nothing_is_written(strict: Setting, field: str, more: dict[str, Any], rule: str):
    call = {"task": "shop.mail", "name": "n", **more}
    with pytest.raises(InvalidEntry, match=rule) as raised:
        strict.schedule(call.pop("task"), call.pop("name"), **call)
    assert raised.value.field == field
    assert strict.records("d:") == []


def test_nesting_has_an_end_and_so_has_a_value_that_holds_itself(here: Setting):
    here.schedule("t", "n", interval=5, args=deep(60))
    endless: list[Any] = []
    endless.append(endless)
    for args in (deep(70), endless):
        with pytest.raises(InvalidEntry, match="nested deeper"):
            here.schedule("t", "m", interval=5, args=args)


GOOD: list[dict[str, Any]] = [
    {"schedule": crontab(minute="*/5", hour="8-17")},
    {"schedule": schedule(30, relative=True)},
    {"schedule": solar("sunset", 52.5, 13.4)},
    {"schedule": Cron("H 3 * * *")},
    {"schedule": Every(5)},
    {"schedule": Once(NOON)},
    {"schedule": "@hourly", "jitter": Jitter(30, "hash")},
    {"interval": timedelta(hours=1), "jitter": 5},
    {"execute_at": datetime(2030, 1, 1, 9), "timezone": "Europe/Berlin"},
    {"interval": 5, "kwargs": {"__type__": "datetime", "__value__": "x", "%": "{}", "*": ":"}},
    {"interval": 5, "options": {"expires": timedelta(minutes=1), "headers": {"x": [1]}, "priority": 5, "retry": True}},
    {"interval": 5, "options": {"expires": NOON, "time_limit": 60, "serializer": "json", "queue": None}},
]


@pytest.mark.parametrize("more", GOOD, ids=str)
def test_it_is_accepted_and_the_same_again_is_no_change(here: Setting, more: dict[str, Any]):
    first = here.schedule("t", "n", **more)
    assert here.schedule("t", "n", **more).version == first.version == 1
    assert get_task("n", app=here.app).spec == first.spec


@pytest.mark.parametrize("name", ["%", "{}", "*", "a:b", "'\"", "a@b@c", "日本", "a ", "A", "ä"])
def test_odd_names_are_ordinary(here: Setting, name: str):
    here.schedule("t", name, interval=60)
    assert here.beat(60) == [name]


def test_names_differ_by_bytes(here: Setting):
    names = ["a", "A", "á", "a\u0301", "a "]
    schedule_tasks(({"task": "t", "name": name, "interval": 60} for name in names), app=here.app)
    assert len(here.records("d:")) == len(names)


def test_the_own_zone_of_a_crontab_must_not_be_contradicted(here: Setting):
    tokyo = crontab(minute="0", hour="9")
    tokyo.tz = __import__("zoneinfo").ZoneInfo("Asia/Tokyo")
    assert here.schedule("t", "n", schedule=tokyo).timezone == "Asia/Tokyo"
    with pytest.raises(InvalidEntry, match="the schedule itself says Asia/Tokyo"):
        here.schedule("t", "n", schedule=tokyo, timezone="Europe/Berlin")


def test_one_bad_entry_of_many_costs_only_itself(here: Setting):
    def entries():
        yield {"task": "t", "name": "good", "interval": 60}
        yield {"task": "t", "name": "bad", "interval": 0}
        yield {"task": "t", "nam": "worse"}
        yield "not even a dict"
        yield {"task": "t", "name": "never", "schedule": "0 0 31 2 *"}
        yield {"task": "t", "name": "good too", "interval": 60}
        yield {"task": "t", "name": "good", "interval": 61}

    told = []
    done = schedule_tasks(entries(), batch=3, on_error=told.append, app=here.app)
    assert (done.created, done.replaced, done.unchanged, done.failed, done.total) == (2, 1, 0, 4, 7)
    assert [(error.number, error.name) for error in done.errors] == [(1, "bad"), (2, None), (3, None), (4, "never")]
    assert told == done.errors
    assert schedule_tasks([{"task": "t", "name": "good", "interval": 61}], app=here.app).unchanged == 1


class Colour(str, enum.Enum):
    RED = "red"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_is_what_comes_back(value: Any):
    copy = plain("args", value)
    assert copy == value
    assert json.loads(json.dumps(copy)) == value


@given(st.recursive(JSON | st.binary() | st.just(math.nan) | st.sets(st.integers()), st.lists, max_leaves=10))
def test_what_is_accepted_is_json_and_what_is_not_names_its_path(value: Any):
    try:
        copy = plain("args", [value])
    except InvalidEntry as error:
        assert error.field.startswith("args[0]")  # noqa: PT017 - it may well be accepted
        with pytest.raises((TypeError, ValueError)):
            json.dumps(value, allow_nan=False)
    else:
        json.dumps(copy, allow_nan=False)


def test_kinds_of_strings_and_numbers_become_plain():
    assert type(plain("x", Colour.RED)) is str
    assert plain("x", Colour.RED) == "red"
    assert plain("x", (1, 2)) == [1, 2]


@given(st.text(max_size=300))
def test_a_name_is_refused_or_fits_into_a_key(name: str):
    try:
        assert check_name("name", name) == name
    except InvalidEntry as error:
        assert error.field == "name"  # noqa: PT017 - it may well be accepted
    else:
        assert 3 <= len(dynamic_key(name).encode()) <= 257


HOUSE = type("House", (), {"app": app_of(), "zone": zone_of(app_of()), "max_payload": 262144, "allowed_tasks": None})()


@given(
    st.text(min_size=1, max_size=40),
    st.lists(JSON, max_size=3),
    st.dictionaries(st.text(), JSON, max_size=3),
    st.floats(0.001, 1e9) | st.integers(1, 10**9),
    st.none() | st.integers(1, 100),
)
def test_an_entry_that_is_accepted_survives_the_store(name: str, args: Any, kwargs: Any, interval: Any, runs: Any):
    form = Form(task="t", name=name, interval=interval, args=args, kwargs=kwargs, max_runs=runs)
    try:
        entry = understood(form, HOUSE)
    except InvalidEntry as error:
        assert error.field == "name"  # noqa: PT017 - all else must be accepted
        return
    definition = Definition(
        key=dynamic_key(name), spec=entry.spec, timing=entry.timing, payload=entry.payload, generation="g"
    )
    now = Instant(1_700_000_000_000)
    record = create(definition, now, times_of(entry.spec, entry.schedule, entry.zone, now))
    stored = decode(encode(record))
    assert stored.spec == entry.spec
    assert understood(form, HOUSE).payload == stored.payload

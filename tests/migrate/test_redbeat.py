"""A thousand entries that RedBeat saved in Redis."""

from __future__ import annotations

import json

import pytest
import redis

from celery_pyncette.core.schedules import Every
from tests.cli.setting import call
from tests.migrate.setting import Target, made, proven

pytestmark = [pytest.mark.timeout(240), pytest.mark.store("redis")]
GAP = "clocks change in Europe/Berlin, and here another rule holds then"


def test_a_thousand_entries_are_due_as_in_redbeat(redis_url: str):
    target = Target()
    told = proven(made("red", "redbeat", redis_url), target, code=1)
    assert len(told) == 1004
    differing = {entry["differs"] for entry in told.values() if entry["differs"]}
    assert differing == {GAP, "RedBeat runs it at once: it never ran"}
    assert told["never"]["differs"] == "RedBeat runs it at once: it never ran"
    assert {name for name, entry in told.items() if entry["fate"] == "refused"} == {"calendar"}
    assert "recurrence rule by calendar" in told["calendar"]["reason"]
    off = target.record("off")
    assert off.paused is not None
    assert off.paused.note == "switched off in redbeat"
    odd = target.record("odd").spec
    assert odd.args == ({"when": {"__type__": "datetime", "__value__": "2027-01-02T03:04:00+00:00"}},)
    assert odd.options == {"queue": "q"}
    assert "options.task_id" in told["odd"]["notes"][0]
    rules = [name for name in told if name.startswith("rrule")]
    assert len(rules) > 100
    assert all(isinstance(target.record(name).spec.schedule, Every) for name in rules)
    counted = target.record(rules[0])
    assert counted.counters.started == counted.counters.expected > 0


def saved(url: str, name: str, definition: object, prefix: str = "redbeat:") -> None:
    with redis.Redis.from_url(url) as client:
        text = definition if isinstance(definition, str) else json.dumps(definition)
        client.hset(f"{prefix}{name}", mapping={"definition": text})


def test_what_is_broken_costs_only_itself(redis_url: str):
    good = {"name": "good", "task": "t", "schedule": {"__type__": "interval", "every": 60, "relative": False}}
    saved(redis_url, "good", good)
    saved(redis_url, "cut", '{"name": "cu')
    saved(redis_url, "list", "[]")
    saved(redis_url, "strange", {**good, "name": "strange", "schedule": {"__type__": "os.system"}})
    saved(redis_url, "static", {**good, "name": "static"})
    with redis.Redis.from_url(redis_url) as client:
        client.set("redbeat::lock", "x")
        client.zadd("redbeat::schedule", {"redbeat:good": 1})
    target = Target(redbeat_redis_url=redis_url)
    result = call(target.app, "import", "--from", "redbeat")
    assert result.exit_code == 1
    assert "imported from redbeat: 1 created, 1 static, 3 refused" in result.stdout
    assert target.records().keys() == {"good"}


def test_its_keys_may_have_another_prefix(redis_url: str):
    entry = {"name": "x[1]", "task": "t", "schedule": {"__type__": "interval", "every": 60, "relative": False}}
    saved(redis_url, "x[1]", entry, prefix="my[*]:")
    saved(redis_url, "other", {**entry, "name": "other"}, prefix="my:")
    target = Target()
    assert (
        call(target.app, "import", "--from", "redbeat", "--source", redis_url, "--key-prefix", "my[*]:").exit_code == 0
    )
    assert target.records().keys() == {"x[1]"}


def test_a_redis_that_is_down_is_one_line_without_its_password():
    source = "redis://:geheim@127.0.0.1:1/0"
    result = call(Target().app, "import", "--from", "redbeat", "--source", source)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.count("\n") == 1
    assert "geheim" not in result.stderr
    assert "RedBeat's keys in redis://:***@127.0.0.1:1/0 cannot be read" in result.stderr

"""What Celery is given for one occurrence."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from celery.beat import BeatLazyFunc
from kombu import Exchange, Queue

from celery_pyncette.core.policies import Delivery, Rules
from celery_pyncette.core.records import EntrySpec, Origin
from tests.results.desk import AT_MOST_GATED, GATED
from tests.results.test_messages import RUN, options_of, sent_as

MOST = Rules(delivery=Delivery.AT_MOST_ONCE)


def test_the_options_of_an_entry_are_never_changed_by_what_is_sent():
    given: dict[str, Any] = {
        "headers": {"mine": {"deep": [1]}},
        "retry_policy": {"interval_start": 1},
        "queue": Queue("q", Exchange("x")),
        "expires": 30,
    }
    before = copy.deepcopy({name: value for name, value in given.items() if name != "queue"})
    options = options_of(Rules(), None, **given)
    options["headers"]["mine"]["deep"].append(2)
    options["retry_policy"]["interval_start"] = 9
    options["queue"] = "other"
    assert {name: value for name, value in given.items() if name != "queue"} == before
    assert options_of(Rules(), None, **given)["queue"] is given["queue"], "it may be bound to a connection"


def test_headers_name_the_entry_and_say_that_a_beat_sent_it():
    headers = options_of(Rules(), None, headers={"mine": 1, "pyncette": "forged"})["headers"]
    assert headers["mine"] == 1
    assert (headers["periodic_task_name"], headers["celery_beat_task"]) == ("job", True)
    assert headers["pyncette"]["key"] == "s:job"


@pytest.mark.parametrize(
    ("rules", "asked", "retry"),
    [
        (MOST, None, False),
        (MOST, True, False),
        (AT_MOST_GATED, True, False),
        (Rules(), None, False),
        (Rules(), True, True),
        (GATED, None, False),
    ],
)
def test_at_most_once_celery_never_publishes_again_by_itself(rules: Rules, asked: bool | None, retry: bool):
    """One lost answer, and the first message may have arrived; at least once the record heals it, unless one asks."""
    run = RUN if rules.aware else None
    options = options_of(rules, run) if asked is None else options_of(rules, run, retry=asked)
    assert options["retry"] is retry


def test_lazy_arguments_are_handed_over_unevaluated_for_each_attempt():
    calls: list[int] = []
    lazy = BeatLazyFunc(lambda: calls.append(1))
    for attempt in (1, 2):
        spec = EntrySpec(name="job", task="t", origin=Origin.STATIC, args=(lazy,))
        entry = sent_as(spec, GATED, replace(RUN, attempt=attempt))
        assert entry.args[0] is lazy
    assert calls == []

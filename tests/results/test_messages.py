"""What a message of a result-aware entry carries, and that others are sent as their user wrote them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from celery import Celery

from celery_pyncette.beat.entry import OccurrenceEntry, entry_of
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import EntrySpec, Key, Lane, Occurrence, Origin, Record, Run
from celery_pyncette.core.taking import OneTime
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.tickets import outgoing
from tests.results.desk import AWARE, GATED

NOW = Instant(1_000_000)
RUN = Run(due_at=Instant(999_000), generation="g")


def options_of(rules: Rules, run: Run | None, **options: Any) -> dict[str, Any]:
    return sent_as(EntrySpec(name="job", task="t", origin=Origin.STATIC, options=options), rules, run).options


def sent_as(spec: EntrySpec, rules: Rules, run: Run | None) -> OccurrenceEntry:
    """The entry that Celery is given."""
    record = Record(key=Key("s:job"), lane=Lane.ENTRIES, generation="g", spec=spec, run=run)
    attempt = 1 if run is None else run.attempt
    occurrence = Occurrence(key=record.key, generation="g", due_at=RUN.due_at, attempt=attempt)
    meaning = Meaning(spec=spec, times=OneTime(NOW), rules=rules, timing="")
    message = outgoing("ns", "store", record, occurrence, meaning, NOW)
    app = Celery("messages", broker="memory://", set_as_current=False)
    return entry_of(app, message, lambda _: None)


@pytest.mark.parametrize("expires", [{}, {"expires": 30}, {"expires": None}])
@pytest.mark.parametrize("rules", [Rules(), Rules(gated=False)], ids=["gated", "ordinary"])
def test_an_ordinary_entry_is_sent_as_it_is_written(rules: Rules, expires: dict[str, Any]) -> None:
    options = options_of(rules, None, queue="q", **expires)
    assert {name: options[name] for name in expires} == expires
    assert ("expires" in options) is bool(expires)
    assert "ignore_result" not in options


def test_ordinary_workers_store_the_result_and_drop_an_old_copy() -> None:
    options = options_of(AWARE, RUN, ignore_result=True)
    assert options["ignore_result"] is False
    assert options["expires"] == 55.0


def test_a_gate_needs_neither() -> None:
    options = options_of(GATED, RUN, ignore_result=True)
    assert options["ignore_result"] is True
    assert options["expires"] is None


def test_behind_a_gate_expires_is_rubbish_collection_only() -> None:
    run = replace(RUN, deadline=Instant(NOW + 30_000))
    assert options_of(GATED, run, expires=30)["expires"] == 90.0
    assert options_of(GATED, replace(run, starts=1), expires=30)["expires"] is None


def test_each_attempt_has_a_task_id_of_its_own() -> None:
    ids = {options_of(AWARE, replace(RUN, attempt=attempt))["task_id"] for attempt in range(1, 6)}
    assert len(ids) == 5
    assert len({options_of(Rules(), None)["task_id"] for _ in range(3)}) == 1


def test_the_ticket_tells_the_gate_what_it_needs() -> None:
    ticket = options_of(GATED, replace(RUN, deadline=Instant(NOW + 5)))["headers"]["pyncette"]
    assert (ticket["aware"], ticket["attempt"], ticket["deadline"]) == (True, 1, NOW + 5)
    assert (ticket["lease_ms"], ticket["start_within"], ticket["max_run"]) == (60_000, 60_000, 86_400_000)
    assert "aware" not in options_of(Rules(), None)["headers"]["pyncette"]

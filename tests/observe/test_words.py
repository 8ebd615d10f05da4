"""Alarms and their signals, the watchdog, log lines and their JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
import string
import threading
from typing import Any

import pytest

from celery_pyncette import events, signals
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Skip
from celery_pyncette.observe.alarms import Alarms
from celery_pyncette.observe.health import Health
from celery_pyncette.observe.json_logs import JsonFormatter
from celery_pyncette.observe.logs import SAYINGS, LogObserver
from celery_pyncette.observe.watchdog import Watchdog, where
from celery_pyncette.testing.clock import START, FakeClock

RUN: dict[str, Any] = {"key": "s:e", "entry": "e", "task": "t", "due_at": START}


def told(event: events.Event) -> list[events.Event]:
    heard: list[events.Event] = []
    Alarms(11.0, heard.append).see(event)
    return heard


def sent(lag: float, attempt: int = 1) -> events.Dispatched:
    return events.Dispatched(**RUN, task_id="i", attempt=attempt, lag=lag, seconds=0)


@pytest.mark.parametrize("reason", [reason.value for reason in Skip])
def test_what_is_skipped_is_missed_unless_somebody_wanted_that(reason: str):
    wanted = reason in ("replaced", "paused", "vetoed")
    heard = told(events.Skipped(**RUN, until=START, count=3, reason=reason))
    assert heard == ([] if wanted else [events.Missed(**RUN, count=3, reason=reason)])


def test_late_is_what_the_death_of_a_beat_does_not_explain():
    assert told(sent(11.0)) == []
    assert told(sent(11.5)) == [events.Late(**RUN, lag=11.5)]
    assert told(sent(60.0, attempt=2)) == []


def test_alarms_are_celery_signals():
    heard = []

    def listen(sender: str, signal: Any, **said: Any) -> None:
        heard.append((sender, said))

    for signal in (signals.occurrence_missed, signals.occurrence_late):
        signal.connect(listen)
    try:
        observer = signals.SignalObserver()
        observer.see(events.Missed(**RUN, count=2, reason="deadline"))
        observer.see(events.Late(**RUN, lag=20.0))
        observer.see(sent(0))
    finally:
        for signal in (signals.occurrence_missed, signals.occurrence_late):
            signal.disconnect(listen)
    assert heard == [
        ("t", {"entry": "e", "due_at": START, "reason": "deadline", "count": 2}),
        ("t", {"entry": "e", "due_at": START, "lag": 20.0}),
    ]


def test_a_receiver_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture):
    def bad(**said: Any) -> None:
        raise RuntimeError("oh")

    signals.occurrence_late.connect(bad)
    try:
        signals.SignalObserver().see(events.Late(**RUN, lag=20.0))
    finally:
        signals.occurrence_late.disconnect(bad)


def test_the_watchdog_says_once_that_the_loop_is_stuck_and_where():
    clock, heard = FakeClock(), []
    health = Health(clock, grace=2, stuck_after=60)
    dog = Watchdog(health, threading.get_ident(), heard.append, every=5)
    dog.look()
    clock.advance(61)
    dog.look()
    dog.look()
    assert [type(event) for event in heard] == [events.Stuck]
    assert "test_the_watchdog_says_once" in heard[0].where
    assert heard[0].seconds == 61
    health.see(events.Ticked(seconds=61, claimed=0, sent=0))
    dog.look()
    dog.look()
    assert heard[1:] == [events.Unstuck(seconds=61)]


def test_a_thread_that_has_ended_is_nowhere():
    assert where(None) == "nowhere: its thread has ended"


def test_the_watchdog_looks_until_it_is_stopped():
    clock = FakeClock()
    seen = threading.Event()
    dog = Watchdog(Health(clock, grace=1, stuck_after=0), threading.get_ident(), lambda event: seen.set(), every=0.01)
    dog.start()
    assert seen.wait(5)
    dog.stop()
    dog.stop()


@pytest.mark.parametrize("kind", list(SAYINGS), ids=lambda kind: kind.__name__)
def test_each_saying_names_fields_that_its_event_has(kind: type[events.Event]):
    fields = {field.name for field in dataclasses.fields(kind)}
    named = {name for _, name, _, _ in string.Formatter().parse(SAYINGS[kind][1]) if name}
    assert named - fields <= {"again", "again_or_not", "few", "fate", "why"}


def logged(event: events.Event, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    with caplog.at_level(logging.DEBUG, "celery_pyncette"):
        LogObserver(FakeClock()).see(event)
    return caplog.records[-1]


@pytest.mark.parametrize(
    ("event", "level", "text"),
    [
        (events.Stuck(seconds=61.2, where="a.py:1 f"), "ERROR", "stuck: this beat has done nothing for 61 s; it is at"),
        (events.Unstuck(seconds=90), "WARNING", "unstuck: this beat goes on after 90 s"),
        (events.HttpDown(address=":1", error="taken"), "ERROR", "http_down: cannot answer at :1: taken; the beat goes"),
        (events.Late(**RUN, lag=12.34), "INFO", "late: 'e' due 2024-01-01T00:00:00.000Z was sent after 12.3 s"),
        (
            events.Pinged(entry="e", occasion="miss", host="h", result="failed", error="status 500"),
            "WARNING",
            "ping_failed: h, for 'e' (miss): status 500",
        ),
    ],
)
def test_what_is_said(event: events.Event, level: str, text: str, caplog: pytest.LogCaptureFixture):
    record = logged(event, caplog)
    assert record.levelname == level
    assert record.getMessage().startswith(text)


@pytest.mark.parametrize("task_id", ["an-id", "with:colons"])
def test_a_parked_message_is_called_by_its_task_and_id(task_id: str, caplog: pytest.LogCaptureFixture):
    parked: dict[str, Any] = {"key": f"e:{task_id}:0", "entry": "", "task": "proj.add"}
    record = logged(events.Late(**parked, due_at=START, lag=9), caplog)
    assert record.getMessage().startswith(f"late: 'proj.add[{task_id}]' due")
    assert record.entry == f"proj.add[{task_id}]"


def test_a_ping_that_was_sent_is_not_worth_a_line(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, "celery_pyncette"):
        LogObserver(FakeClock()).see(events.Pinged(entry="e", occasion="start", host="h", result="sent"))
    assert caplog.records == []


def test_a_line_of_json_has_the_name_and_the_fields_of_the_event(caplog: pytest.LogCaptureFixture):
    record = logged(events.Skipped(**RUN, until=NEVER, count=2, reason="policy"), caplog)
    said = json.loads(JsonFormatter().format(record))
    assert said.pop("time").endswith("+00:00")
    assert said.pop("message").startswith("skipped: 2 occurrence(s) of 'e'")
    assert said == {
        "level": "WARNING",
        "logger": "celery_pyncette",
        "name": "skipped",
        "event": "Skipped",
        "key": "s:e",
        "entry": "e",
        "task": "t",
        "due_at": "2024-01-01T00:00:00.000Z",
        "until": "never",
        "count": 2,
        "reason": "policy",
        "at_least": False,
        "said": "",
    }


def test_any_record_becomes_one_line_of_json():
    record = logging.makeLogRecord(
        {"name": "celery.beat", "levelname": "ERROR", "msg": "two\nlines %s", "args": ("ä",), "thing": object()}
    )
    try:
        raise RuntimeError("oh")
    except RuntimeError:
        import sys

        record.exc_info = sys.exc_info()
    line = JsonFormatter().format(record)
    assert "\n" not in line
    said = json.loads(line)
    assert said["message"] == "two\nlines ä"
    assert "RuntimeError: oh" in said["exception"]
    assert "name" not in said


def test_every_event_of_ours_can_be_formatted(caplog: pytest.LogCaptureFixture):
    record = logged(events.StoreLost(store="redis://h", error="away"), caplog)
    assert json.loads(JsonFormatter().format(record))["store"] == "redis://h"
    assert Instant(0) == 0

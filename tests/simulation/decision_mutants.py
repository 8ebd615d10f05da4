"""Beats that decide otherwise, and edits that forget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from celery_pyncette.core import attempts, edits, ending, lifecycle
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Record, Run, Write

_ready_at, _at_work = Record.ready_at, lifecycle.at_work
_unstarted, _send, _replaced = lifecycle._unstarted, lifecycle._send, edits.replaced


def expires_at_the_deadline(run: Run, now: Instant, rules: Rules) -> int | None:
    return None if run.deadline is None or run.starts else run.deadline - now


def expires_on_retries_too(run: Run, now: Instant, rules: Rules) -> int | None:
    return None if run.deadline is None else run.deadline - now


def expires_with_the_attempt(run: Run, now: Instant, rules: Rules) -> int | None:
    return rules.start_within


def running_before_reported(self: Record) -> Instant:
    if self.lease is None and self.run is not None and self.run.started_at is not None:
        return NEVER
    return _ready_at.__get__(self)


def ready_while_paused(self: Record) -> Instant:
    return _ready_at.__get__(replace(self, paused=None))


def started_for_ever(run: Run, now: Instant, rules: Rules) -> Run:
    return _at_work(run, now, replace(rules, max_run=10**12))


def dispatches_count(record: Record, run: Run, now: Instant, rules: Rules) -> Any:
    if run.dispatched_at is not None and not rules.at_most_once:
        if run.failures + 1 >= rules.max_attempts:
            return ending.use_up(record, run, ending.Outcome.ABANDONED, now, rules, reason="gave up", given_up=True)
        run = replace(run, failures=run.failures + 1)
    return _unstarted(record, run, now, rules)


def recorded_as_sent(record: Record, run: Run, taken: Any) -> Any:
    planned = _send(record, run, taken)
    marked = attempts.marked(run, run.until, Rules(aware=True, start_within=12_000))
    return replace(planned, first=Write(record=replace(record, run=marked)), settle=None)


def replaced_without_its_run(record: Record, *rest: Any, **more: Any) -> Record | None:
    after = _replaced(record, *rest, **more)
    return None if after is None else replace(after, run=None)


def replaced_with_its_open_run(record: Record, *rest: Any, **more: Any) -> Record | None:
    after = _replaced(record, *rest, **more)
    return after if after is None or record.run is None else replace(after, run=record.run, counters=record.counters)


def no_cascade(*_: Any) -> None:
    pass

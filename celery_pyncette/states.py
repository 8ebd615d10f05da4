"""Entries and parked messages as JSON values and as lines for people; nothing here prints or asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.schedules import jitter_to_data
from celery_pyncette.task_state import LeaseState, PastRun, PauseState, RunState, TaskState
from celery_pyncette.words import brief, distance, moment, times

if TYPE_CHECKING:
    from celery_pyncette.delayed import DelayedState

RECENT = ("DUE", "OUTCOME", "LAG", "RAN FOR", "ATTEMPT", "WORKER", "BEAT", "REASON")
RECENT_RIGHT = frozenset(["LAG", "RAN FOR", "ATTEMPT"])
STYLES = {"succeeded": "green", "failed": "red", "abandoned": "red", "skipped": "yellow", "revoked": "yellow"}


def document(state: TaskState, *, payload: bool = False) -> dict[str, Any]:
    """As JSON values; the keys are a promise. ``payload``: with arguments and options, which may hold secrets."""
    spec = state.spec
    said: dict[str, Any] = {
        "name": state.name,
        "origin": state.origin.value,
        "task": state.task,
        "schedule": state.schedule,
        "timezone": state.timezone,
        "state": state.state,
        **_at("due_at", state.next_due),
        **times("start", spec.start),
        **times("end", spec.end),
        "max_runs": spec.max_runs,
        "jitter": None if spec.jitter is None else jitter_to_data(spec.jitter),
        "tenant": spec.tenant,
        "paused": None if state.paused is None else _pause(state.paused),
        "run": None if state.run is None else _run(state.run),
        "lease": None if state.lease is None else _lease(state.lease),
        "expected": state.counters.expected,
        "started": state.counters.started,
        "skipped": state.counters.skipped,
        "recent": [_past(line) for line in state.recent],
        **_at("dead_until", state.dead_until),
        **_at("created_at", state.created_at),
        "key": state.key,
        "generation": state.generation,
        "version": state.version,
    }
    if payload:
        said |= {"args": list(spec.args), "kwargs": dict(spec.kwargs), "options": dict(spec.options)}
    return said


def delayed_document(state: DelayedState) -> dict[str, Any]:
    """A parked message as JSON values; the keys are a promise."""
    expires = None if state.expires is None else instant_of(state.expires)
    return {
        "task_id": state.task_id,
        "task": state.task,
        "queue": state.queue,
        **times("eta", instant_of(state.eta)),
        **times("expires", expires),
        "state": state.state,
        "retries": state.retries,
        "args": state.args,
        "kwargs": state.kwargs,
        "priority": state.priority,
        "size": state.size,
    }


def facts(state: TaskState, *, payload: bool = False) -> list[tuple[str, str]]:
    """What there is to say, one pair of words per line; what is not set is left out."""
    return [(name, text) for name, text in _facts(state, payload) if text]


def _facts(state: TaskState, payload: bool) -> Iterator[tuple[str, str]]:
    now, spec = instant_of(state.as_of), state.spec
    yield "name", state.name
    yield "origin", state.origin.value
    yield "task", state.task
    yield "schedule", state.schedule
    yield "time zone", state.timezone or ""
    yield "state", state.state
    yield "next due", _seen(state.next_due, now)
    yield "starts", "" if spec.start is None else moment(spec.start)
    yield "ends", "" if spec.end is None else moment(spec.end)
    yield "jitter", "" if spec.jitter is None else f"up to {brief(spec.jitter.window_ms)} ({spec.jitter.spread})"
    yield "runs at most", "" if spec.max_runs is None else f"{spec.max_runs} times"
    yield "tenant", spec.tenant or ""
    yield from _pending(state, now)
    count = state.counters
    yield "occurrences", f"{count.expected} taken up, {count.started} started, {count.skipped} skipped"
    yield "created", _seen(state.created_at, now)
    yield from _arguments(state, payload)
    yield "key", state.key
    yield "generation", f"{state.generation}, version {state.version}"


def _pending(state: TaskState, now: Instant) -> Iterator[tuple[str, str]]:
    pause, run, lease = state.paused, state.run, state.lease
    if pause is not None:
        until = "until it is resumed" if pause.until is None else f"until {_seen(pause.until, now)}"
        missed = f"; then {pause.missed} of what was missed" if pause.missed else ""
        yield "paused", f"{until}{missed}{': ' + pause.note if pause.note else ''}"
    if run is not None:
        yield "run", f"of {_seen(run.due_at, now)}, attempt {run.attempt}"
        yield "run sent", _seen(run.dispatched_at, now)
        yield "run started", f"{_seen(run.started_at, now)} on {run.worker}" if run.started_at else ""
        yield "run's task id", run.task_id or ""
    if lease is not None:
        yield "lease", f"{lease.owner or 'nobody, held back'} until {_seen(lease.until, now)}"
    yield "dead letter", f"deleted {_seen(state.dead_until, now)}" if state.dead_until else ""


def _arguments(state: TaskState, payload: bool) -> Iterator[tuple[str, str]]:
    spec = state.spec
    if payload:
        yield "args", repr(list(spec.args)) if spec.args else ""
        yield "kwargs", repr(dict(spec.kwargs)) if spec.kwargs else ""
        yield "options", repr(dict(spec.options)) if spec.options else ""
    elif spec.args or spec.kwargs or spec.options:
        said = [f"{len(spec.args)} args" if spec.args else "", *_names("kwargs", spec.kwargs)]
        said += _names("options", spec.options)
        yield "arguments", f"{', '.join(part for part in said if part)} (--payload shows them)"


def _names(kind: str, given: Any) -> list[str]:
    return [f"{kind} {', '.join(sorted(map(str, given)))}"] if given else []


def recent_cells(line: PastRun) -> tuple[str, ...]:
    """A row of the table of recent runs, as ``RECENT`` says."""
    due, sent = instant_of(line.due_at), line.dispatched_at
    ran = None if line.started_at is None or line.ended_at is None else line.ended_at - line.started_at
    return (
        moment(due),
        line.outcome,
        "-" if sent is None else brief(max(0, instant_of(sent) - due)),
        "-" if ran is None else brief(round(ran.total_seconds() * 1000)),
        str(line.attempt),
        line.worker or "-",
        line.beat or "-",
        line.reason or "",
    )


def _seen(at: datetime | None, now: Instant) -> str:
    if at is None:
        return ""
    instant = instant_of(at)
    return f"{moment(instant)} ({distance(instant, now)})"


def _at(name: str, at: datetime | None) -> dict[str, Any]:
    return times(name, None if at is None else instant_of(at))


def _pause(pause: PauseState) -> dict[str, Any]:
    return {"note": pause.note, **_at("until", pause.until), "missed": pause.missed}


def _lease(lease: LeaseState) -> dict[str, Any]:
    return {"owner": lease.owner or None, **_at("until", lease.until)}


def _run(run: RunState) -> dict[str, Any]:
    return {
        **_at("due_at", run.due_at),
        "attempt": run.attempt,
        "task_id": run.task_id,
        **_at("dispatched_at", run.dispatched_at),
        **_at("started_at", run.started_at),
        "worker": run.worker,
    }


def _past(line: PastRun) -> dict[str, Any]:
    return {
        **_at("due_at", line.due_at),
        "outcome": line.outcome,
        "reason": line.reason,
        "attempt": line.attempt,
        "task_id": line.task_id,
        **_at("dispatched_at", line.dispatched_at),
        **_at("started_at", line.started_at),
        **_at("ended_at", line.ended_at),
        "beat": line.beat,
        "worker": line.worker,
    }

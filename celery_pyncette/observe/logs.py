"""Events as log records: a stable name first, then what a person needs; the fields again as extras."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.core.instants import show

logger = logging.getLogger("celery_pyncette")

#: The same trouble is logged at its own level once in this many seconds, and at DEBUG in between.
_REPEAT_AFTER = 3600.0

#: Level and text of each event; fields in braces, points in time as ISO 8601. What is not here happens
#: all the time, or is logged by Celery already.
SAYINGS: dict[type[events.Event], tuple[int, str]] = {
    events.BeatStarted: (
        logging.INFO,
        "beat_started: store {store}, namespace {namespace!r}, {others} other(s) present",
    ),
    events.StoreLost: (logging.ERROR, "store_lost: {store}: {error}; leases hold, trying again"),
    events.StoreBack: (logging.WARNING, "store_back: {store} answers again after {seconds:.1f} s"),
    events.StoreEmptied: (
        logging.ERROR,
        (
            "store_emptied: {store} has lost namespace {namespace!r}; static entries are written again, dynamic "
            "entries and parked messages are lost: restore a backup if they matter"
        ),
    ),
    events.BrokerLost: (logging.ERROR, "broker_lost: nothing is claimed or used up until it answers again"),
    events.BrokerBack: (logging.WARNING, "broker_back: dispatching again"),
    events.ForeignStore: (
        logging.ERROR,
        (
            "foreign_store: beat {beat} runs namespace {namespace!r} on this broker with store {theirs}, this one "
            "has store {ours}: every run is doubled. Give all beats the same pyncette_store_url, or each application "
            "its own pyncette_namespace"
        ),
    ),
    events.PublishFailed: (logging.ERROR, "publish_failed: {entry!r} due {due_at}: {error}; {again}"),
    events.Skipped: (
        logging.WARNING,
        "skipped: {few} occurrence(s) of {entry!r} from {due_at} to {until}, reason {reason}{why}",
    ),
    events.UsedUp: (logging.INFO, "used_up: {entry!r} due {due_at}: {outcome}"),
    events.NotStarted: (
        logging.WARNING,
        "not_started: {entry!r} due {due_at}: nobody has started attempt {attempt} for {waited:.0f} s; {again_or_not}",
    ),
    events.Repeated: (
        logging.WARNING,
        "repeated: {entry!r} due {due_at}: attempt {attempt} {outcome}; again in {again_in:g} s",
    ),
    events.Paused: (logging.ERROR, "paused: {entry!r}: {note}; resume it when its cause is mended"),
    events.ResultsLost: (
        logging.ERROR,
        "results_lost: the result backend does not answer: {error}; open runs of result-aware entries wait for it",
    ),
    events.ResultsBack: (logging.WARNING, "results_back: the result backend answers again"),
    events.Quarantined: (logging.ERROR, "quarantined: record {key!r}: {reason}; the others go on"),
    events.Superseded: (logging.INFO, "superseded: {entry!r} was changed by somebody else ({doing})"),
    events.Overtime: (
        logging.WARNING,
        "overtime: {count} claimed record(s) not sent, half of pyncette_claim_time had passed; their leases end soon",
    ),
    events.Reconciled: (
        logging.INFO,
        (
            "reconciled: {created} created, {changed} changed, {unchanged} unchanged, {removed} removed, {seeded} with "
            "the last run of a stock beat"
        ),
    ),
    events.StartRefused: (logging.INFO, "start_refused: {task}[{task_id}] of {entry!r} due {due_at}: {reason}"),
    events.ForgedTicket: (logging.WARNING, "forged_ticket: {task}[{task_id}] was dropped: {problem}"),
    events.ForeignTicket: (
        logging.ERROR,
        (
            "foreign_ticket: {task}[{task_id}] of {entry!r} was sent by a beat with store {theirs}, this worker has "
            "store {ours}; {fate}. Give beats and workers the same pyncette_store_url"
        ),
    ),
    events.GateStoreDown: (logging.WARNING, "gate_store_down: {task}[{task_id}] of {entry!r}: {error}; {fate}"),
    events.LeaseLost: (logging.WARNING, "lease_lost: {task}[{task_id}] of {entry!r} due {due_at}: {reason}"),
    events.Late: (logging.INFO, "late: {entry!r} due {due_at} was sent after {lag:.1f} s"),
    events.Buried: (
        logging.WARNING,
        "buried: {entry!r} due {due_at} was given up; it is kept as a dead letter for pyncette_dead_letter_ttl",
    ),
    events.Stuck: (logging.ERROR, "stuck: this beat has done nothing for {seconds:.0f} s; it is at {where}"),
    events.Unstuck: (logging.WARNING, "unstuck: this beat goes on after {seconds:.0f} s"),
    events.HttpUp: (logging.INFO, "http_up: /metrics, /health, /live and /ready are at http://{address}"),
    events.HttpDown: (
        logging.ERROR,
        "http_down: cannot answer at {address}: {error}; the beat goes on without, and tries again each 10 s",
    ),
    events.ReportDropped: (
        logging.WARNING,
        "report_dropped: {task}[{task_id}] of {entry!r} due {due_at} ended as {outcome}, not written: {reason}",
    ),
}

#: Names that ``logging`` keeps for itself.
_RENAMED = {"created": "created_entries", "name": "entry_name", "args": "task_args"}
_INSTANTS = ("due_at", "until")


class LogObserver:
    """Writes to the logger ``celery_pyncette``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}

    def see(self, event: events.Event) -> None:
        """Log an event at the level it deserves."""
        if isinstance(event, events.Ticked):
            if event.error is not None:
                self._log(event, logging.ERROR, "tick_failed: {error}; trying again", event.error)
            return
        saying = SAYINGS.get(type(event))
        if saying is not None:
            trouble = f"{event.key} {event.reason}" if isinstance(event, events.Quarantined) else None
            self._log(event, *saying, trouble)
        elif isinstance(event, events.Pinged) and event.result != "sent":
            trouble = f"ping {event.host} {event.result} {event.error}"
            self._log(event, logging.WARNING, "ping_{result}: {host}, for {entry!r} ({occasion}): {error}", trouble)

    def _log(self, event: events.Event, level: int, text: str, trouble: str | None) -> None:
        if trouble is not None and not self._first(trouble):
            level = logging.DEBUG
        if not logger.isEnabledFor(level):
            return
        said = {field.name: getattr(event, field.name) for field in fields(event)}
        if said.get("entry") == "":
            said["entry"] = _nameless(said)
        shown = {**said, **{name: show(said[name]) for name in _INSTANTS if name in said}, **_worded(event)}
        extra = {"event": type(event).__name__, **{_RENAMED.get(name, name): value for name, value in said.items()}}
        logger.log(level, "%s", text.format(**shown), extra=extra)

    def _first(self, trouble: str) -> bool:
        now = self._clock.monotonic()
        last = self._logged.get(trouble)
        if last is not None and now - last < _REPEAT_AFTER:
            return False
        if len(self._logged) > 1000:
            self._logged.clear()
        self._logged[trouble] = now
        return True


def _nameless(said: dict[str, Any]) -> str:
    """What to call a parked message, which has no name: by its task and id."""
    task_id = said.get("task_id") or str(said.get("key", ""))[2:].rpartition(":")[0]
    return f"{said.get('task', '')}[{task_id}]"


def _worded(event: events.Event) -> dict[str, str]:
    """What is said in other words than its fields have."""
    match event:
        case events.PublishFailed():
            return {"again": "never again" if event.retry_in is None else f"again in {event.retry_in:g} s"}
        case events.NotStarted():
            return {"again_or_not": "sent again" if event.again else "it is the only message that there will be"}
        case events.Skipped():
            few = f"at least {event.count}" if event.at_least else str(event.count)
            return {"few": few, "why": f": {event.said}" if event.said else ""}
        case events.ForeignTicket():
            return {"fate": "it runs without a lease" if event.ran else "it was dropped"}
        case events.GateStoreDown():
            again = "the broker delivers it again" if event.requeued else "a beat sends it again"
            return {"fate": again}
        case _:
            return {}

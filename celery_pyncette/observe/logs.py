"""Events as log records: a stable name first, then what a person needs; the fields again as extras."""

from __future__ import annotations

import logging
from dataclasses import fields

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.core.instants import show

logger = logging.getLogger("celery_pyncette")

#: What happens all the time, or is logged by Celery already.
_QUIET = (events.Ticked, events.StoreCalled, events.Expected, events.Dispatched)
#: The same trouble with the same record is logged once in this many seconds.
_REPEAT_AFTER = 3600.0


class LogObserver:
    """Writes to the logger ``celery_pyncette``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._failing = False

    def see(self, event: events.Event) -> None:
        """Log an event at the level it deserves."""
        if isinstance(event, events.Ticked):
            self._tick(event)
        if isinstance(event, _QUIET):
            return
        level, text = _say(event)
        if isinstance(event, events.Quarantined) and not self._first(f"{event.key} {event.reason}"):
            level = logging.DEBUG
        logger.log(level, "%s", text, extra=_extra(event))

    def _tick(self, event: events.Ticked) -> None:
        if event.error is not None:
            level = logging.DEBUG if self._failing and not self._first(event.error) else logging.ERROR
            logger.log(level, "tick_failed: %s; trying again", event.error, extra=_extra(event))
        self._failing = event.error is not None

    def _first(self, trouble: str) -> bool:
        now = self._clock.monotonic()
        last = self._logged.get(trouble)
        if last is not None and now - last < _REPEAT_AFTER:
            return False
        if len(self._logged) > 1000:
            self._logged.clear()
        self._logged[trouble] = now
        return True


def _extra(event: events.Event) -> dict[str, object]:
    extra = {field.name: getattr(event, field.name) for field in fields(event)}
    return {"event": type(event).__name__, **{_RENAMED.get(name, name): value for name, value in extra.items()}}


#: Names that ``logging`` keeps for itself.
_RENAMED = {"created": "created_entries", "name": "entry_name", "args": "task_args"}


def _say(event: events.Event) -> tuple[int, str]:
    match event:
        case events.BeatStarted():
            return logging.INFO, (
                f"beat_started: store {event.store}, namespace {event.namespace!r}, {event.others} other(s) present"
            )
        case events.StoreLost():
            return logging.ERROR, f"store_lost: {event.store}: {event.error}; leases hold, trying again"
        case events.StoreBack():
            return logging.WARNING, f"store_back: {event.store} answers again after {event.seconds:.1f} s"
        case events.StoreEmptied():
            return logging.ERROR, (
                f"store_emptied: {event.store} has lost namespace {event.namespace!r}; static entries are written "
                "again, dynamic entries and parked messages are lost: restore a backup if they matter"
            )
        case events.BrokerLost():
            return logging.ERROR, "broker_lost: nothing is claimed or used up until it answers again"
        case events.BrokerBack():
            return logging.WARNING, "broker_back: dispatching again"
        case events.ForeignStore():
            return logging.ERROR, (
                f"foreign_store: beat {event.beat} runs namespace {event.namespace!r} on this broker with store "
                f"{event.theirs}, this one has store {event.ours}: every run is doubled. Give all beats the same "
                "pyncette_store_url, or each application its own pyncette_namespace"
            )
        case events.PublishFailed():
            again = "never again" if event.retry_in is None else f"again in {event.retry_in:g} s"
            return logging.ERROR, (f"publish_failed: {event.entry!r} due {show(event.due_at)}: {event.error}; {again}")
        case events.Skipped():
            few = f"at least {event.count}" if event.at_least else str(event.count)
            return logging.WARNING, (
                f"skipped: {few} occurrence(s) of {event.entry!r} from {show(event.due_at)} to {show(event.until)}, "
                f"reason {event.reason}"
            )
        case events.UsedUp():
            return logging.INFO, f"used_up: {event.entry!r} due {show(event.due_at)}: {event.outcome}"
        case events.Quarantined():
            return logging.ERROR, f"quarantined: record {event.key!r}: {event.reason}; the others go on"
        case events.Superseded():
            return logging.INFO, f"superseded: {event.entry!r} was changed by somebody else ({event.doing})"
        case events.Overtime():
            return logging.WARNING, (
                f"overtime: {event.count} claimed record(s) not sent, half of pyncette_claim_time had passed; "
                "their leases end soon"
            )
        case events.Reconciled():
            return logging.INFO, (
                f"reconciled: {event.created} created, {event.changed} changed, {event.unchanged} unchanged, "
                f"{event.removed} removed, {event.seeded} with the last run of a stock beat"
            )
        case _:
            return logging.INFO, type(event).__name__

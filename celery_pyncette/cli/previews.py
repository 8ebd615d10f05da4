"""The next due times of one entry, and what is odd about them; nothing here prints or asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from celery_pyncette.core.due_times import EntryTimes
from celery_pyncette.core.instants import NEVER, Instant, datetime_of
from celery_pyncette.core.records import EntrySpec, Record
from celery_pyncette.display import describe
from celery_pyncette.previews import dues_from, oddities
from celery_pyncette.words import brief, distance, moment, times

COLUMNS = ("#", "DUE", "IN", "LOCAL", "ZONE")
FROM_STORE, FROM_CONFIGURATION = "store", "configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """``dues`` in order; the first one may lie in the past: then it waits for being sent. ``source``: who knew."""

    spec: EntrySpec
    schedule: str
    source: str
    now: Instant
    zone: tzinfo
    dues: tuple[Instant, ...]
    warnings: tuple[str, ...]


def of_record(record: Record, times: EntryTimes, now: Instant, count: int, *, differs: bool, usual: int) -> Preview:
    """Of an entry as the store has it.

    :param times: as this process understands the schedule; ``differs``: the record has another one than that.
    :param usual: milliseconds by which an entry may be late without a word.
    """
    first = record.due_at
    if differs and first > now:
        first = times.next_after(now)  # that is what the beat with the new schedule makes of it
    dues = list(dues_from(first, times, now, count))
    warnings = list(_standing(record, now, differs, usual))
    return _preview(record.spec, times, FROM_STORE, now, dues, warnings)


def of_definition(spec: EntrySpec, times: EntryTimes, now: Instant, count: int) -> Preview:
    """Of an entry as the configuration has it, as if a beat saw it first now."""
    first = times.next_after(now) if spec.enabled else NEVER
    return _preview(spec, times, FROM_CONFIGURATION, now, list(dues_from(first, times, now, count)), [])


def _standing(record: Record, now: Instant, differs: bool, usual: int) -> Iterator[str]:
    """What the record says that the due times alone do not."""
    pause = record.paused
    if differs:
        said = record.spec.description or "another one"
        yield f"the beats run it on another schedule, {said}; shown is what this configuration will make of it"
    if pause is not None and pause.until > now:
        until = "until it is resumed" if pause.until >= NEVER else f"until {moment(pause.until)}"
        note = f" ({pause.note})" if pause.note else ""
        yield f"it is paused {until}{note}: nothing is sent meanwhile"
    elif now - record.due_at > usual:
        yield f"it has been due for {brief(now - record.due_at)}, and no beat has sent it yet"


def _preview(
    spec: EntrySpec, times: EntryTimes, source: str, now: Instant, dues: list[Instant], warnings: list[str]
) -> Preview:
    if not spec.enabled:
        warnings.append("it is disabled: it never fires")
    else:
        warnings += oddities(times, now, dues)
    return Preview(
        spec=spec,
        schedule=spec.description or describe(times.schedule),
        source=source,
        now=now,
        zone=times.frame.zone,
        dues=tuple(dues),
        warnings=tuple(warnings),
    )


def cells(preview: Preview, zone: tzinfo) -> list[tuple[str, ...]]:
    """The rows of a table, local times in ``zone``."""
    return [
        (str(number), moment(due), distance(due, preview.now), _local(due, zone), str(zone))
        for number, due in enumerate(preview.dues, 1)
    ]


def document(preview: Preview, zone: tzinfo) -> dict[str, Any]:
    """As JSON values; the keys are a promise."""
    return {
        "name": preview.spec.name,
        "origin": preview.spec.origin.value,
        "task": preview.spec.task,
        "schedule": preview.schedule,
        "source": preview.source,
        "zone": str(zone),
        **times("now", preview.now),
        "times": [{**times("due_at", due), "local": _iso(due, zone)} for due in preview.dues],
        "warnings": list(preview.warnings),
    }


def _local(due: Instant, zone: tzinfo) -> str:
    local = datetime_of(due).astimezone(zone)
    return f"{local:%a} {local.isoformat(sep=' ', timespec='seconds')}"


def _iso(due: Instant, zone: tzinfo) -> str:
    return datetime_of(due).astimezone(zone).isoformat(timespec="milliseconds")

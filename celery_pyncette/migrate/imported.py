"""What every reader yields: one entry of another scheduler, in this package's words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from kombu.utils import json as kombu_json

from celery_pyncette.core.errors import InvalidEntry
from celery_pyncette.core.frame import Frame, Schedule
from celery_pyncette.core.instants import Instant, datetime_of
from celery_pyncette.core.schedules import Every, Once
from celery_pyncette.opaque import Opaque
from celery_pyncette.reading import named_zone, schedule_of, zone_of
from celery_pyncette.schedule_forms import Form
from celery_pyncette.send_options import options_of

#: What every message of a beat says by itself; other schedulers keep it among their options.
_OURS = ("periodic_task_name",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One entry as another scheduler left it.

    ``since``: the moment that its next due time follows; None if it counts as new. ``last_run_at`` and
    ``total_run_count`` are history. ``timezone``: where its clock is read; None: in the app's zone. ``due_there``: when
    the other scheduler would run it next, by its own arithmetic; None where it would not; ``why_there``: what is
    special about that. ``notes``: what cannot be carried over, or comes to mean something else. ``over``: why there is
    nothing to run any more. ``problem``: why it cannot be an entry here.
    """

    name: str
    task: object = None
    schedule: Schedule | None = None
    args: object = ()
    kwargs: object = None
    options: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    since: Instant | None = None
    last_run_at: Instant | None = None
    total_run_count: int = 0
    start: Instant | None = None
    end: Instant | None = None
    one_off: bool = False
    timezone: str | None = None
    due_there: Instant | None = None
    why_there: str = ""
    notes: tuple[str, ...] = ()
    over: str | None = None
    problem: str | None = None

    @property
    def form(self) -> Form:
        """As a caller of ``schedule_task`` would give it."""
        once = isinstance(self.schedule, Once)
        return Form(
            task=self.task,
            name=self.name,
            schedule=self.schedule,
            args=self.args,
            kwargs=self.kwargs,
            options=self.options,
            timezone=self.timezone,
            start=None if self.start is None or once else datetime_of(self.start),
            end=None if self.end is None or once else datetime_of(self.end),
            max_runs=1 if self.one_off and not once else None,
        )

    def noted(self, *notes: str) -> Imported:
        """The same with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))


def refused(name: str, problem: object) -> Imported:
    """An entry that cannot be one here."""
    return Imported(name=name, problem=" ".join(str(problem).split()))


def read_schedule(schedule: Any, app: Any) -> Schedule:
    """This package's schedule for one of Celery's. :raises InvalidEntry: for one that cannot be stored."""
    ours, _ = schedule_of(schedule, app)
    if isinstance(ours, Opaque):
        raise InvalidEntry("schedule", repr(schedule), "is of a class that cannot be stored")
    return ours


def due_after(schedule: Any, since: Instant, app: Any, zone: tzinfo | None = None) -> Instant:
    """The next due time by Celery's own arithmetic, which the other schedulers use.

    :param schedule: a schedule of Celery's; its clock is set to ``since``.
    :param zone: where its clock is read; the app's if not given.
    """
    schedule.app = app
    zone = zone_of(app) if zone is None else named_zone(zone)
    return Opaque(schedule).next_after(since, Frame(zone, "", since))


def started(schedule: Schedule, since: Instant | None, start: Instant | None) -> Instant | None:
    """``start``, unless an interval goes on from a last run to a time after it: then the start is over."""
    if start is None or since is None or not isinstance(schedule, Every):
        return start
    return None if since + schedule.interval_ms > start else start


def kept_options(given: Mapping[str, Any], app: Any) -> tuple[dict[str, Any], list[str]]:
    """The options that an entry may carry here, and a note for each that it may not."""
    kept: dict[str, Any] = {}
    notes: list[str] = []
    zone = zone_of(app)
    for name, value in given.items():
        given_value = _without_ours(value) if name == "headers" and isinstance(value, Mapping) else value
        if name in _OURS or given_value is None or given_value == {}:
            continue
        try:
            kept |= options_of({name: given_value}, zone)
        except InvalidEntry as error:
            notes.append(f"left out: {error}")
    return kept, notes


def wire(value: Any) -> Any:
    """Arguments as Celery's JSON carries them: a time, for example, in the form that workers read back.

    :raises TypeError: for what Celery could not send either.
    """
    dumps: Any = kombu_json.dumps
    return json.loads(dumps(value))


def _without_ours(headers: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in headers.items() if name not in _OURS}

"""Events as Prometheus metrics: which one moves which meter of the catalogue."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from celery_pyncette import events
from celery_pyncette.observe.catalogue import FROM_ZERO
from celery_pyncette.observe.meters import Meters

#: Task names beyond so many, and errors and reasons beyond so many, are counted together.
MOST_TASKS = 200
MOST_WORDS = 50
OTHER = "other"
_LANES = {0: "entries", 1: "delayed"}


class Bounded:
    """Names as label values: the first ``most`` as they are, the rest as ``other``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, name: str) -> str:
        if name in self._known:
            return name
        if len(self._known) >= self._most or not name:
            return OTHER
        self._known.add(name)
        return name


class Metrics:
    """An Observer with meters of its own; any thread may call it.

    With ``PROMETHEUS_MULTIPROC_DIR`` set prometheus_client keeps the values in files of that directory, and one
    process of many can answer for all of them. Then there may be one of these per process: ``shared``.
    """

    def __init__(self) -> None:
        self.meters = meters = Meters()
        self._add, self._observe, self._show = meters.add, meters.observe, meters.show
        for pair in itertools.product(("start", "success", "failure", "miss"), ("sent", "failed", "dropped")):
            self._show("pyncette_pings_total", *pair)
        self._task = Bounded(MOST_TASKS)
        self._word = Bounded(MOST_WORDS)
        self._expected: set[str] = set()
        self._look: Mapping[type[events.Event], Callable[[Any], None]] = {
            events.TickBegan: self._tick_began,
            events.Ticked: self._ticked,
            events.StoreAsked: self._store_asked,
            events.StoreCalled: self._store_called,
            events.PublishBegan: self._publish_began,
            events.PublishEnded: self._publish_ended,
            events.PublishFailed: self._publish_failed,
            events.Dispatched: self._dispatched,
            events.Skipped: lambda e: self._add("pyncette_skipped_total", e.count, self._task(e.task), e.reason),
            events.Missed: lambda e: self._add("pyncette_missed_total", e.count, self._task(e.task)),
            events.Expected: lambda e: self.expect(e.task),
            events.UsedUp: self._used_up,
            events.Repeated: self._repeated,
            events.Claimed: lambda e: self._observe("pyncette_claim_batch_size", e.count, _LANES.get(e.lane, OTHER)),
            events.RunStarted: self._run_started,
            events.StartRefused: lambda e: self._worded("pyncette_refused_total", e.task, e.reason),
            events.ForgedTicket: lambda e: self._worded("pyncette_refused_total", e.task, "forged"),
            events.Reported: lambda e: self._worded("pyncette_reported_total", e.task, e.outcome),
            events.Superseded: lambda e: self._add("pyncette_superseded_total", 1, self._word(e.doing)),
            events.Overtime: lambda e: self._add("pyncette_overtime_total", e.count),
            events.Quarantined: lambda e: self._add("pyncette_quarantined_total", 1),
            events.StoreEmptied: lambda e: self._add("pyncette_stores_emptied_total", 1),
            events.ForeignStore: lambda e: self._add("pyncette_foreign_stores_heard_total", 1),
            events.Pinged: lambda e: self._add("pyncette_pings_total", 1, e.occasion, e.result),
            **{kind: self._counts_tasks(name) for kind, name in _BY_TASK.items()},
        }

    def see(self, event: events.Event) -> None:
        """Count it."""
        look = self._look.get(type(event))
        if look is not None:
            look(event)

    def expect(self, task: str) -> None:
        """Show what alerts look at with 0, before it happens to this task."""
        label = self._task(task)
        if label not in self._expected:
            self._expected.add(label)
            for name in FROM_ZERO:
                self._show(name, label)

    def _worded(self, name: str, task: str, word: str) -> None:
        self._add(name, 1, self._task(task), self._word(word))

    def _counts_tasks(self, name: str) -> Callable[[Any], None]:
        return lambda event: self._add(name, 1, self._task(event.task))

    def _tick_began(self, event: events.TickBegan) -> None:
        del event
        self._add("pyncette_ticks_total", 1)
        self._add("pyncette_ticks_in_progress", 1)

    def _ticked(self, event: events.Ticked) -> None:
        self._add("pyncette_ticks_in_progress", -1)
        self._observe("pyncette_ticks_duration_seconds", event.seconds)
        if event.error is not None:
            self._add("pyncette_ticks_failures_total", 1, self._word(event.kind or OTHER))

    def _store_asked(self, event: events.StoreAsked) -> None:
        self._add("pyncette_repository_ops_total", 1, event.operation)
        self._add("pyncette_repository_ops_in_progress", 1, event.operation)

    def _store_called(self, event: events.StoreCalled) -> None:
        self._add("pyncette_repository_ops_in_progress", -1, event.operation)
        self._observe("pyncette_repository_ops_duration_seconds", event.seconds, event.operation)
        if event.error is not None:
            self._add("pyncette_repository_ops_failures_total", 1, event.operation, self._word(event.error))

    def _publish_began(self, event: events.PublishBegan) -> None:
        for task in map(self._task, event.tasks):
            self._add("pyncette_tasks_total", 1, task)
            self._add("pyncette_tasks_in_progress", 1, task)

    def _publish_ended(self, event: events.PublishEnded) -> None:
        each = event.seconds / max(1, len(event.tasks))
        for task in map(self._task, event.tasks):
            self._add("pyncette_tasks_in_progress", -1, task)
            self._observe("pyncette_tasks_duration_seconds", each, task)
        self._observe("pyncette_publish_seconds", event.seconds)

    def _publish_failed(self, event: events.PublishFailed) -> None:
        self._add("pyncette_tasks_failures_total", 1, self._task(event.task), self._word(_class_in(event.error)))

    def _dispatched(self, event: events.Dispatched) -> None:
        task = self._task(event.task)
        self._add("pyncette_dispatched_total", 1, task)
        if event.attempt == 1:
            self._observe("pyncette_tasks_staleness_seconds", event.lag, task)

    def _run_started(self, event: events.RunStarted) -> None:
        task = self._task(event.task)
        self._add("pyncette_started_total", 1, task)
        self._show("pyncette_leases_lost_total", task)

    def _used_up(self, event: events.UsedUp) -> None:
        self._worded("pyncette_finished_total", event.task, event.outcome)
        if event.outcome == _ABANDONED:
            self._add("pyncette_abandoned_total", 1, self._task(event.task))

    def _repeated(self, event: events.Repeated) -> None:
        self._add("pyncette_retried_total", 1, self._task(event.task))
        if event.outcome == _ABANDONED:
            self._add("pyncette_abandoned_total", 1, self._task(event.task))


_ABANDONED = "abandoned"
_BY_TASK: Mapping[type[events.Event], str] = {
    events.Late: "pyncette_late_total",
    events.NotStarted: "pyncette_not_started_total",
    events.Buried: "pyncette_dead_letters_total",
    events.Paused: "pyncette_paused_total",
    events.GateStoreDown: "pyncette_gate_store_down_total",
    events.LeaseLost: "pyncette_leases_lost_total",
    events.ReportDropped: "pyncette_reports_dropped_total",
}


def _class_in(error: str) -> str:
    """The exception's class at the head of a text such as ``OperationalError: ...``."""
    found = re.match(r"[A-Za-z_]\w{0,60}(?=:|$)", error)
    return OTHER if found is None else found[0]


@functools.cache
def shared() -> Metrics:
    """The one of this process, and of the children that it forks, for prometheus_client's multiprocess mode."""
    return Metrics()

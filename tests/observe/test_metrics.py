"""Events in, numbers out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from celery_pyncette import events
from celery_pyncette.core.instants import Instant
from celery_pyncette.observe.catalogue import CATALOGUE, FROM_ZERO, THIRTEEN, Kind
from celery_pyncette.observe.metrics import MOST_TASKS, MOST_WORDS, Metrics
from tests.packaging.test_contracts import CHECKOUT

DUE = Instant(0)
RUN = {"key": "s:e", "entry": "e", "task": "t", "due_at": DUE}


class Numbers:
    """What is scraped."""

    def __init__(self, *seen: events.Event) -> None:
        self.metrics = Metrics()
        for event in seen:
            self.metrics.see(event)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.metrics.meters.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("seen", "name", "labels", "value"),
    [
        (events.TickBegan(), "pyncette_ticks_total", {}, 1),
        (events.TickBegan(), "pyncette_ticks_in_progress", {}, 1),
        (events.Ticked(seconds=2.0, claimed=0, sent=0), "pyncette_ticks_duration_seconds_sum", {}, 2),
        (
            events.Ticked(seconds=2.0, claimed=0, sent=0, error="no route", kind="StoreUnavailable"),
            "pyncette_ticks_failures_total",
            {"exception_type": "StoreUnavailable"},
            1,
        ),
        (events.StoreAsked(operation="claim"), "pyncette_repository_ops_total", {"operation": "claim"}, 1),
        (events.StoreAsked(operation="claim"), "pyncette_repository_ops_in_progress", {"operation": "claim"}, 1),
        (
            events.StoreCalled(operation="apply", seconds=0.5),
            "pyncette_repository_ops_duration_seconds_sum",
            {"operation": "apply"},
            0.5,
        ),
        (
            events.StoreCalled(operation="apply", seconds=0.5, error="StoreRefused"),
            "pyncette_repository_ops_failures_total",
            {"operation": "apply", "exception_type": "StoreRefused"},
            1,
        ),
        (events.PublishBegan(tasks=("t", "t", "u")), "pyncette_tasks_total", {"task_name": "t"}, 2),
        (events.PublishBegan(tasks=("t", "t", "u")), "pyncette_tasks_in_progress", {"task_name": "u"}, 1),
        (
            events.PublishEnded(tasks=("t", "t"), seconds=1.0, sent=2),
            "pyncette_tasks_duration_seconds_sum",
            {"task_name": "t"},
            1.0,
        ),
        (events.PublishEnded(tasks=("t", "t"), seconds=1.0, sent=2), "pyncette_publish_seconds_sum", {}, 1.0),
        (
            events.PublishFailed(**RUN, error="OperationalError: refused", retry_in=5),
            "pyncette_tasks_failures_total",
            {"task_name": "t", "exception_type": "OperationalError"},
            1,
        ),
        (
            events.PublishFailed(**RUN, error="there is no connection to the broker", retry_in=5),
            "pyncette_tasks_failures_total",
            {"task_name": "t", "exception_type": "other"},
            1,
        ),
        (
            events.Dispatched(**RUN, task_id="i", attempt=1, lag=3, seconds=0),
            "pyncette_tasks_staleness_seconds_sum",
            {"task_name": "t"},
            3,
        ),
        (
            events.Dispatched(**RUN, task_id="i", attempt=2, lag=3, seconds=0),
            "pyncette_dispatched_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.Skipped(**RUN, until=DUE, count=4, reason="policy"),
            "pyncette_skipped_total",
            {"task_name": "t", "reason": "policy"},
            4,
        ),
        (events.Missed(**RUN, count=4, reason="policy"), "pyncette_missed_total", {"task_name": "t"}, 4),
        (events.Late(**RUN, lag=60), "pyncette_late_total", {"task_name": "t"}, 1),
        (
            events.UsedUp(**RUN, outcome="failed", attempt=1),
            "pyncette_finished_total",
            {"task_name": "t", "outcome": "failed"},
            1,
        ),
        (
            events.UsedUp(**RUN, outcome="abandoned", attempt=1),
            "pyncette_abandoned_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.Repeated(**RUN, outcome="abandoned", attempt=1, again_in=1),
            "pyncette_abandoned_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.Repeated(**RUN, outcome="failed", attempt=1, again_in=1),
            "pyncette_retried_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.NotStarted(**RUN, attempt=1, waited=1, again=True),
            "pyncette_not_started_total",
            {"task_name": "t"},
            1,
        ),
        (events.Buried(**RUN), "pyncette_dead_letters_total", {"task_name": "t"}, 1),
        (events.Paused(key="k", entry="e", task="t", note="n"), "pyncette_paused_total", {"task_name": "t"}, 1),
        (events.Quarantined(key="k", reason="r"), "pyncette_quarantined_total", {}, 1),
        (
            events.Superseded(key="k", entry="e", doing="advance"),
            "pyncette_superseded_total",
            {"step": "advance"},
            1,
        ),
        (events.Overtime(count=7), "pyncette_overtime_total", {}, 7),
        (events.StoreEmptied(store="s", namespace="n"), "pyncette_stores_emptied_total", {}, 1),
        (
            events.ForeignStore(namespace="n", ours="a", theirs="b", beat="c"),
            "pyncette_foreign_stores_heard_total",
            {},
            1,
        ),
        (
            events.Claimed(lane=1, count=9, now=DUE, oldest=None, next_ready_at=DUE),
            "pyncette_claim_batch_size_sum",
            {"lane": "delayed"},
            9,
        ),
        (
            events.Pinged(entry="e", occasion="miss", host="h", result="dropped"),
            "pyncette_pings_total",
            {"occasion": "miss", "result": "dropped"},
            1,
        ),
        (
            events.RunStarted(**RUN, task_id="i", attempt=1, token=1, worker="w"),
            "pyncette_started_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.StartRefused(**RUN, task_id="i", reason="over"),
            "pyncette_refused_total",
            {"task_name": "t", "reason": "over"},
            1,
        ),
        (
            events.ForgedTicket(task="t", task_id="i", problem="p"),
            "pyncette_refused_total",
            {"task_name": "t", "reason": "forged"},
            1,
        ),
        (
            events.GateStoreDown(entry="e", task="t", task_id="i", error="x", requeued=True),
            "pyncette_gate_store_down_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.LeaseLost(**RUN, task_id="i", reason="r"),
            "pyncette_leases_lost_total",
            {"task_name": "t"},
            1,
        ),
        (
            events.Reported(**RUN, task_id="i", outcome="retry"),
            "pyncette_reported_total",
            {"task_name": "t", "outcome": "retry"},
            1,
        ),
        (
            events.ReportDropped(**RUN, task_id="i", outcome="failed", reason="r"),
            "pyncette_reports_dropped_total",
            {"task_name": "t"},
            1,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, events.Event) else None,
)
def test_what_an_event_counts(seen: events.Event, name: str, labels: dict[str, str], value: float):
    assert Numbers(seen)(name, **labels) == value


def test_what_ends_is_no_longer_in_progress():
    numbers = Numbers(
        events.TickBegan(),
        events.StoreAsked(operation="claim"),
        events.StoreCalled(operation="claim", seconds=0),
        events.PublishBegan(tasks=("t",)),
        events.PublishEnded(tasks=("t",), seconds=0, sent=1),
        events.Ticked(seconds=0, claimed=1, sent=1),
    )
    assert numbers("pyncette_ticks_in_progress") == 0
    assert numbers("pyncette_repository_ops_in_progress", operation="claim") == 0
    assert numbers("pyncette_tasks_in_progress", task_name="t") == 0


def test_task_names_are_bounded_and_the_rest_is_other():
    numbers = Numbers(*[events.PublishBegan(tasks=(f"task-{n}",)) for n in range(10_000)])
    assert numbers("pyncette_tasks_total", task_name="task-0") == 1
    assert numbers("pyncette_tasks_total", task_name=f"task-{MOST_TASKS}") is None
    assert numbers("pyncette_tasks_total", task_name="other") == 10_000 - MOST_TASKS


def test_words_are_bounded_too():
    numbers = Numbers(*[events.StartRefused(**RUN, task_id="i", reason=f"reason {n}") for n in range(1000)])
    assert numbers("pyncette_refused_total", task_name="t", reason="other") == 1000 - MOST_WORDS


def test_no_label_holds_an_instance():
    for meter in CATALOGUE:
        assert set(meter.labels) <= {
            *("task_name", "exception_type", "operation", "outcome", "reason", "lane", "occasion", "result", "step")
        }


def test_what_alerts_look_at_is_there_before_it_happens():
    numbers = Numbers(events.Expected(key="k", entry="e", task="t", count=1))
    assert {name: numbers(name, task_name="t") for name in FROM_ZERO} == dict.fromkeys(FROM_ZERO, 0)


def test_states_are_asked_for_at_each_scrape_and_absent_while_unknown():
    numbers = Numbers()
    known: dict[str, float] = {}
    numbers.metrics.meters.ask(lambda: known)
    assert numbers("pyncette_lag_seconds") is None
    known["pyncette_lag_seconds"] = 1.5
    assert numbers("pyncette_lag_seconds") == 1.5


def test_the_thirteen_are_pyncettes():
    """As its module prometheus.py names them."""
    four = ("_total", "_duration_seconds", "_failures_total", "_in_progress")
    names = {f"pyncette_{thing}{end}" for thing in ("ticks", "tasks", "repository_ops") for end in four}
    assert {meter.name for meter in THIRTEEN} == names | {"pyncette_tasks_staleness_seconds"}
    assert len(THIRTEEN) == 13


def test_names_are_distinct_and_say_what_they_are():
    assert [name for name, count in Counter(meter.name for meter in CATALOGUE).items() if count > 1] == []
    for meter in CATALOGUE:
        assert meter.name.startswith("pyncette_")
        assert meter.name.endswith("_total") == (meter.kind is Kind.COUNTER)
        assert meter.says.endswith(".")


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text; version=1.0.0"])
def test_the_page_can_be_read_in_each_format(accept: str):
    page, content_type = Numbers(events.TickBegan()).metrics.meters.page(accept)
    assert content_type.split(";")[0] == (accept.split(";", maxsplit=1)[0] or "text/plain")
    families = list(text_string_to_metric_families(page.decode().replace("# EOF\n", "")))
    assert {sample.name for family in families for sample in family.samples} >= {"pyncette_ticks_total"}


MANY = """
import os, sys
from celery_pyncette import events
from celery_pyncette.observe.metrics import shared

assert shared() is shared()
shared().see(events.TickBegan())
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        for _ in range(5):
            shared().see(events.RunStarted(
                key="k", entry="e", task="t", due_at=0, task_id="i", attempt=1, token=1, worker="w"))
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
sys.stdout.write(generate_latest(registry).decode())
"""


def test_many_processes_are_counted_together(tmp_path: Path):
    """As in a worker: the main process, and children that it forks, in one directory."""
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", MANY]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30)
    assert done.returncode == 0, done.stderr
    assert 'pyncette_started_total{task_name="t"} 10.0' in done.stdout
    assert "pyncette_ticks_total 1.0" in done.stdout


def test_prometheus_client_is_imported_only_where_metrics_are_on():
    code = (
        "import sys\nfrom celery import Celery\nfrom celery_pyncette.runtime import Runtime\n"
        "app = Celery('x', broker='memory://')\napp.conf.pyncette_store_url = 'memory://x'\n"
        "Runtime(app).lookout()\nassert 'prometheus_client' not in sys.modules\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**env, "PYTHONPATH": str(CHECKOUT)}
    )
    assert done.returncode == 0, done.stderr

"""A real Prometheus scrapes two beats through successes, failures, a killed worker and an outage of the store."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from celery_pyncette.observe.catalogue import THIRTEEN, Kind
from tests.integration.project import EVERY_SECOND, PATIENCE, Project, ran_twice
from tests.observe.conftest import ANY, address_of
from tests.observe.scraped import Scraped, scrape
from tests.packaging.test_contracts import CHECKOUT
from tests.support.ports import free_port
from tests.support.process import Processes
from tests.support.proxy import TcpProxy
from tests.support.wait import wait_until

pytestmark = pytest.mark.full_matrix

MORE = """
from celery_pyncette import Pyncette

Pyncette(app)
app.conf.beat_schedule["bad"] = {"task": "proj.bad", "schedule": 2.0, "args": (object(),)}


@app.task
def fails():
    raise RuntimeError("as it should")


@app.task
def hangs():
    if not (HERE / "hung").exists():
        (HERE / "hung").touch()
        time.sleep(600)
"""
AWARE = {"result_aware": True, "lease": 3, "backoff": 1}


class Prometheus:
    """Debian's, with our alert rules, asking each second."""

    def __init__(self, processes: Processes, directory: Path, targets: list[str]) -> None:
        port = free_port()
        conf = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(CHECKOUT / "deploy" / "prometheus" / "alerts.yml")],
            "scrape_configs": [{"job_name": "celery-beat", "static_configs": [{"targets": targets}]}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(conf))  # JSON is YAML
        self.url = f"http://127.0.0.1:{port}"
        processes.start(
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
            name="prometheus",
        )

    def _get(self, path: str, **params: str) -> Any:
        query = urllib.parse.urlencode(params)
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=5) as answer:
            return json.load(answer)["data"]

    def __call__(self, query: str) -> float:
        """The value of a query; 0 where there is none."""
        result = self._get("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def alerts(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"]}

    def becomes(self, query: str, least: float, seconds: float = PATIENCE) -> None:
        message = f"{query} is at least {least}"
        wait_until(lambda: self(query) >= least, seconds, message, every=0.3, swallow=(OSError,))


def total(addresses: list[str], name: str, **labels: str) -> float:
    return sum(scrape(address)(name, **labels) for address in addresses)


@pytest.mark.needs("prometheus")
@pytest.mark.timeout(240)
def test_each_of_the_thirteen_moves_as_it_should(
    project: Project, processes: Processes, proxy_to: Callable[[str], TcpProxy], redis_url: str
):
    store = proxy_to(redis_url)
    project.store_url = store.through(redis_url)
    schedule = {
        "every-second": EVERY_SECOND,
        "fails": {"task": "proj.fails", "schedule": 2.0},
        "hangs": {"task": "proj.hangs", "schedule": 3.0},
    }
    project.write(
        MORE,
        beat_schedule=schedule,
        pyncette_http_address=ANY,
        pyncette_store_timeout=1,
        pyncette_policies={"fails": AWARE, "hangs": AWARE},
    )
    beats = [project.working_beat() for _ in range(2)]
    addresses = [address_of(beat) for beat in beats]
    prometheus = Prometheus(processes, project.directory, addresses)
    worker = project.worker("-c", "2", pool="prefork")

    # Successes and failures.
    prometheus.becomes("sum(pyncette_healthy)", 2)
    prometheus.becomes('sum(pyncette_tasks_total{task_name="proj.note"})', 3)
    prometheus.becomes('sum(pyncette_tasks_staleness_seconds_count{task_name="proj.note"})', 3)
    prometheus.becomes('sum(pyncette_tasks_failures_total{task_name="proj.bad"})', 1)
    prometheus.becomes('sum(pyncette_finished_total{task_name="proj.fails",outcome="failed"})', 1)
    prometheus.becomes("max(pyncette_beats)", 2)
    prometheus.becomes("max(pyncette_gated_workers)", 1, 60)

    # A worker is killed in the middle of a task: its lease ends, and another one takes it over.
    wait_until((project.directory / "hung").exists, PATIENCE, "a task hangs")
    worker.kill_group()
    prometheus.becomes('sum(pyncette_abandoned_total{task_name="proj.hangs"})', 1)
    prometheus.becomes('sum(pyncette_retried_total{task_name="proj.hangs"})', 1)
    second = project.worker("-c", "2", pool="prefork")
    prometheus.becomes('sum(pyncette_finished_total{task_name="proj.hangs",outcome="succeeded"})', 1)

    # What is counted is what the records say, and what ran.
    def agree() -> bool:
        sent = total(addresses, "pyncette_dispatched_total", task_name="proj.note")
        skipped = total(addresses, "pyncette_skipped_total", task_name="proj.bad")
        records = project.records()
        counters, bad = records["every-second"].counters, records["bad"].counters
        runs = project.runs("every-second")
        return sent == counters.started == len(runs) and skipped == bad.skipped == bad.expected and bad.started == 0

    wait_until(agree, PATIENCE, "metrics, records and runs agree", every=0.05)
    assert ran_twice(project.runs("every-second")) == []

    # An outage of the store.
    before = [scrape(address) for address in addresses]
    store.refuse()
    prometheus.becomes("count(pyncette_store_up == 0)", 2)
    prometheus.becomes('sum(pyncette_ticks_failures_total{exception_type="StoreUnavailable"})', 2)
    prometheus.becomes("sum(pyncette_repository_ops_failures_total)", 2)
    wait_until(lambda: "PyncetteStoreDown" in prometheus.alerts(), PATIENCE, "the alert is pending", every=0.5)
    store.accept()
    prometheus.becomes("sum(pyncette_healthy)", 2)
    wait_until(lambda: "PyncetteStoreDown" not in prometheus.alerts(), PATIENCE, "the alert is over", every=0.5)

    after = [scrape(address) for address in addresses]
    for meter in THIRTEEN:
        for mine, earlier in zip(after, before, strict=True):
            if meter.kind is Kind.GAUGE:
                assert 0 <= mine(meter.name) <= 3, meter.name
            elif "ticks" in meter.name or "repository" in meter.name:
                assert mine.gained(earlier, _counted(meter.name)) > 0, meter.name
        assert _sum(after, meter.name) > 0 or meter.kind is Kind.GAUGE, meter.name
    for beat in beats:
        assert beat.terminate() == 0
    assert second.terminate(20) == 0


def _counted(name: str) -> str:
    return f"{name}_count" if name.endswith("_seconds") else name


def _sum(scraped: list[Scraped], name: str) -> float:
    return sum(one(_counted(name)) for one in scraped)

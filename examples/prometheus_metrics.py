"""A Celery app whose beats and workers are scraped by Prometheus.

    pip install "celery-pyncette[metrics]"
    cd examples
    HTTP_ADDRESS=127.0.0.1:9699 celery -A prometheus_metrics beat -S celery_pyncette.Scheduler
    PROMETHEUS_MULTIPROC_DIR=$(mktemp -d) celery -A prometheus_metrics worker
    curl http://127.0.0.1:9699/metrics          # a beat
    curl http://127.0.0.1:9698/metrics          # a worker, all processes of its pool together

deploy/ has alert rules, a scrape configuration and a dashboard.
"""

from __future__ import annotations

import os
import random

from celery import Celery
from celery.signals import worker_process_shutdown, worker_ready

from celery_pyncette import Pyncette

app = Celery("prometheus_metrics", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.pyncette_store_url = os.environ.get("STORE_URL", "redis://127.0.0.1:6379/1")
Pyncette(app)

# Beats answer /metrics, /health, /live and /ready here; each beat of a host needs a port of its own.
app.conf.pyncette_http_address = os.environ.get("HTTP_ADDRESS")

app.conf.beat_schedule = {
    "steady": {"task": "prometheus_metrics.steady", "schedule": 1.0},
    "moody": {"task": "prometheus_metrics.moody", "schedule": 2.0},
}

# A beat that knows how runs end can count successes and failures, and call again for what was lost.
app.conf.pyncette_policies = {"moody": {"result_aware": True, "on_failure": "retry", "max_attempts": 3, "backoff": 1}}


@app.task
def steady() -> None:
    pass


@app.task
def moody() -> None:
    if random.random() < 0.5:
        raise RuntimeError("not today")


# A worker counts if PROMETHEUS_MULTIPROC_DIR is set before it starts. Its main process answers for the whole pool.
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:

    @worker_ready.connect
    def answer_for_all(**_: object) -> None:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        start_http_server(int(os.environ.get("WORKER_PORT", "9698")), addr="127.0.0.1", registry=registry)

    @worker_process_shutdown.connect
    def forget(pid: int, **_: object) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)

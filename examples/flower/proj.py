"""An app whose entries Flower shows: one that goes well, one that fails now and then, one that takes its time.

Needs `pip install 'celery-pyncette[redis,flower]'` and a Redis; in this directory, each in a terminal of its own:

    celery -A proj beat -S celery_pyncette.Scheduler
    celery -A proj worker -E
    FLOWER_UNAUTHENTICATED_API=1 celery -A proj flower --address=127.0.0.1

Then open http://127.0.0.1:5555/schedules. Or, in the checkout, with two of each and Prometheus and Grafana:

    docker compose --profile demo up --build
"""

from __future__ import annotations

import os
import random
import time

from celery import Celery

from celery_pyncette import Pyncette

app = Celery("proj", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
Pyncette(app)
app.conf.pyncette_store_url = os.environ.get("STORE_URL", "redis://127.0.0.1:6379/1")
app.conf.pyncette_http_address = os.environ.get("HTTP_ADDRESS")
app.conf.pyncette_delay_queue = True
app.conf.task_send_sent_event = True  # with it Flower knows the queue of each task, and the entry that sent it
app.conf.beat_schedule = {
    "mail": {"task": "proj.mail", "schedule": 5.0, "args": ("newsletter",), "options": {"queue": "celery"}},
    "import": {"task": "proj.fetch", "schedule": 15.0},
    "report": {"task": "proj.report", "schedule": 20.0, "kwargs": {"kind": "pdf"}},
}
app.conf.pyncette_policies = {
    "import": {"result_aware": True, "on_failure": "retry", "max_attempts": 3, "backoff": 2},
    "report": {"result_aware": True},
}


@app.task
def mail(what: str) -> None:
    print(f"sent the {what}")
    remind.apply_async((what,), countdown=3600)  # waits in the store: see "Parked messages"


@app.task
def remind(what: str) -> None:
    print(f"a reminder of the {what}")


@app.task
def fetch() -> None:
    time.sleep(random.uniform(0.2, 1.5))
    if random.random() < 0.3:
        raise RuntimeError("the other end was not there")


@app.task
def report(kind: str) -> None:
    time.sleep(random.uniform(1, 6))

"""A Celery app whose schedule any number of beats may share.

    cd examples
    celery -A basic worker
    celery -A basic beat -S celery_pyncette.Scheduler      # in as many terminals, on as many hosts as you like

Only `-S` and `pyncette_store_url` differ from what you have already. Kill any of the beats: the others go on.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab

app = Celery("basic", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))

# Where the beats meet. Without it they keep an SQLite file in their directory, which is enough on one host.
app.conf.pyncette_store_url = os.environ.get("STORE_URL", "redis://127.0.0.1:6379/1")

# The schedule is Celery's own, and still runs under its own beat.
app.conf.beat_schedule = {
    "greet": {"task": "basic.greet", "schedule": 2.0, "args": ("world",)},
    "report": {"task": "basic.greet", "schedule": crontab(hour="7", minute="30"), "args": ("reader",)},
    "charge": {"task": "basic.charge", "schedule": 3.0},
}

# By default an occurrence is sent at least once. Where one too many is worse than one too few, say so:
app.conf.pyncette_policies = {"charge": {"delivery": "at_most_once"}}


@app.task
def greet(whom: str) -> None:
    print(f"hello, {whom}")


@app.task(bind=True)
def charge(self) -> None:
    # Every message says which occurrence it is: entry, due time, task id.
    ticket = self.request.headers["pyncette"]
    print(f"charging for the occurrence of {ticket['due_at']}")

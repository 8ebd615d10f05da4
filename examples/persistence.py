"""Each store by its URL. The schedule survives whatever the store survives.

    cd examples
    STORE=postgresql celery -A persistence beat -S celery_pyncette.Scheduler
    STORE=postgresql celery -A persistence worker

Stop all beats and start one again: an interval goes on where it was, it does not begin anew.
"""

from __future__ import annotations

import os

from celery import Celery

STORES = {
    # Beats on one host; nothing to install.
    "sqlite": "sqlite:///persistence.sqlite3",
    # pip install 'celery-pyncette[postgresql]'
    "postgresql": "postgresql://postgres@127.0.0.1:5432/postgres",
    # pip install 'celery-pyncette[mysql]'; mariadb:// is the same
    "mysql": "mysql://root@127.0.0.1:3306/test",
    # pip install 'celery-pyncette[redis]'. It keeps what it is told to keep: appendonly yes, and no eviction.
    "redis": "redis://127.0.0.1:6379/1",
    # Several Redis nodes: redis+cluster://host:port/0, sentinel://host:port/0?master=name
}

app = Celery("persistence", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.pyncette_store_url = os.environ.get("STORE_URL") or STORES[os.environ.get("STORE", "sqlite")]

# What all beats missed while none of them ran: one run for the newest (latest), one for each (all), or none.
app.conf.pyncette_catch_up = "all"

app.conf.beat_schedule = {"count": {"task": "persistence.count", "schedule": 2.0}}


@app.task(bind=True)
def count(self) -> None:
    print(f"due at {self.request.headers['pyncette']['due_at']}")

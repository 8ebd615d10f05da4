"""Leases that live as long as their task: kept alive by the task, lost by a careless one, or kept alive for it.

    cd examples
    celery -A heartbeat beat -S celery_pyncette.Scheduler
    celery -A heartbeat worker -c 3

A run holds a lease of two seconds here, and each task works for five. While the lease lives, nobody else runs the same
occurrence, and the next one waits. When it ends, a beat takes the worker for dead, and sends the occurrence again.
"""

from __future__ import annotations

import os
import time

from celery import Celery

from celery_pyncette import LeaseLost, Pyncette, current_occurrence, heartbeat

app = Celery("heartbeat", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.pyncette_store_url = os.environ.get("STORE_URL", "redis://127.0.0.1:6379/1")
app.conf.pyncette_result_aware = True
app.conf.pyncette_lease = 2
app.conf.beat_schedule = {
    "cooperative": {"task": "heartbeat.cooperative", "schedule": 6.0},
    "careless": {"task": "heartbeat.careless", "schedule": 6.0},
    "automatic": {"task": "heartbeat.automatic", "schedule": 6.0},
}
app.conf.pyncette_policies = {
    "cooperative": {"heartbeat": "cooperative"},
    "careless": {"heartbeat": "cooperative"},
}

Pyncette(app)


# The task says itself that it makes progress. If it hangs, its lease ends, although its worker lives.
@app.task
def cooperative() -> None:
    for _ in range(5):
        time.sleep(1)
        heartbeat()
    print(f"cooperative: done at attempt {current_occurrence().attempt}")


# The first attempt says nothing for too long: a second one is started beside it. The next heartbeat() tells it so.
@app.task
def careless() -> None:
    attempt = current_occurrence().attempt
    pauses = [5] if attempt == 1 else [1] * 5
    try:
        for pause in pauses:
            time.sleep(pause)
            heartbeat()
    except LeaseLost:
        print(f"careless: the lease was lost at attempt {attempt}: I touch nothing any more")
        raise
    print(f"careless: done at attempt {attempt}")


# The default: the worker keeps the lease alive, and the task has nothing to do.
@app.task
def automatic() -> None:
    time.sleep(5)
    print(f"automatic: done at attempt {current_occurrence().attempt}")

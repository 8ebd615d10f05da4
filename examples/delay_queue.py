"""A delay queue: tasks that wait in the store, and not in a worker, until their time comes.

    cd examples
    celery -A delay_queue beat -S celery_pyncette.Scheduler
    celery -A delay_queue worker
    python delay_queue.py

The first beat sets the store up, so start it first. Kill beats and workers as you like while tasks wait: they are in
the store. Start the worker only when everything is due: it runs then.
"""

from __future__ import annotations

import os
from datetime import timedelta

from celery import Celery

from celery_pyncette import Pyncette, cancel_delayed, current_occurrence, list_delayed, move_delayed

app = Celery("delay_queue", broker=os.environ.get("BROKER_URL", "redis://127.0.0.1:6379/0"))
app.conf.pyncette_store_url = os.environ.get("STORE_URL", "redis://127.0.0.1:6379/1")
app.conf.pyncette_delay_queue = True
# Shorter delays go to the broker as always: a worker can hold them for so long.
app.conf.pyncette_delay_threshold = 1
# While the store is away, apply_async raises. Say "broker" for messages that may rather take the risks of Celery's ETA.
app.conf.pyncette_delay_on_store_error = os.environ.get("ON_STORE_ERROR", "error")

Pyncette(app)


# Reliable: acknowledged when it is done, and sent again if its worker dies. It may then run twice.
@app.task(acks_late=True, reject_on_worker_lost=True)
def charge(order: int) -> None:
    print(f"charging order {order}")


# More reliable still: followed by the beats until it has succeeded, though its worker dies or the broker loses it.
RELIABLE = {"result_aware": True, "on_failure": "retry", "max_attempts": 3, "backoff": 1}


@app.task
def invoice(order: int) -> None:
    occurrence = current_occurrence()
    attempt = 1 if occurrence is None else occurrence.attempt
    print(f"invoice for order {order}, attempt {attempt}")
    if attempt == 1:
        raise ConnectionError("the printer is away")


# Best effort: acknowledged when it starts. A worker that dies in the middle of it takes it along.
@app.task
def remind(user: str) -> None:
    print(f"reminding {user}")


# A retry waits in the store, too, because the worker has loaded this module.
@app.task(bind=True, max_retries=3)
def deliver(self, parcel: int) -> None:
    if self.request.retries == 0:
        print(f"nobody at home for parcel {parcel}")
        raise self.retry(countdown=3)
    print(f"delivered parcel {parcel} at try {self.request.retries + 1}")


def main() -> None:
    charge.apply_async((1,), countdown=3)
    invoice.apply_async((1,), countdown=2, pyncette_policy=RELIABLE)
    deliver.apply_async((7,), countdown=2)
    late = remind.apply_async(("alice",), countdown=3600)
    wrong = remind.apply_async(("mallory",), countdown=3600)
    print(f"cancelled: {cancel_delayed(wrong.id)}")
    move_delayed(late.id, timedelta(seconds=4))
    for message in list_delayed().messages:
        print(f"{message.eta:%H:%M:%S} {message.task}{message.args}")


if __name__ == "__main__":
    main()

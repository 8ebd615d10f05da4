"""The application of the demo: an ordinary Celery app. Nothing in it says that several beats will run."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

DIRECTORY = Path(os.environ["DEMO_DIRECTORY"])
RUNS = DIRECTORY / "runs.jsonl"
INTERVALS = {"pulse": 1.0, "prices": 1.5, "mails": 2.0, "stock": 3.0, "report": 5.0}

# kombu's filesystem broker; see files.py for what is mended.
TRANSPORT_ALIASES["filesystem"] = "files:Transport"
for folder in ("queue", "control"):
    (DIRECTORY / folder).mkdir(exist_ok=True)

app = Celery("demo", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(DIRECTORY / "queue"),
        "data_folder_out": str(DIRECTORY / "queue"),
        "control_folder": str(DIRECTORY / "control"),
        "polling_interval": 0.1,
    },
    task_ignore_result=True,
    result_expires=None,  # else Celery adds its nightly clean-up of results to the schedule
    worker_hijack_root_logger=False,
    beat_schedule={name: {"task": "demo.run", "schedule": seconds} for name, seconds in INTERVALS.items()},
    # All that is ours: where the beats meet, and how long one that dies keeps what it had in hand.
    pyncette_store_url=f"sqlite:///{DIRECTORY / 'store.sqlite3'}",
    pyncette_claim_time=3,
)


@app.task(name="demo.run", bind=True)
def run(self) -> None:
    """Write down that it ran: which entry, for which due time, under which task id."""
    headers = self.request.headers or {}
    line = {
        "entry": headers["periodic_task_name"],
        "due_at": headers["pyncette"]["due_at"],
        "task_id": self.request.id,
        "ran_at": int(time.time() * 1000),
    }
    with RUNS.open("a") as log:
        log.write(json.dumps(line) + "\n")

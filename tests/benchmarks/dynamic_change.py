"""One change among many entries: how long until it has an effect, with wake-ups and without."""

from __future__ import annotations

import base64
import json
import random
import statistics
import time
from datetime import datetime, timezone
from typing import Any

import redis

from celery_pyncette import schedule_task
from celery_pyncette.client.desk import desk_of
from tests.benchmarks.contestants import QUEUE
from tests.benchmarks.dynamic_trial import Figures, Trial


def changes(trial: Trial, count: int) -> Figures:
    """An entry that is due tomorrow is changed to be due now; the time from the call to the message in the broker."""
    trial.start_beat()
    trial.close()
    figures: Figures = {"loaded per second": trial.sizes.entries / trial.load()}
    for wake_up, words in (("auto", "with wake-ups"), ("off", "without wake-ups")):
        trial.write(pyncette_wake_up=wake_up)
        trial.start_beat()
        time.sleep(3)
        times = sorted(_changes(trial, count, wake_up))
        time.sleep(1)  # a beat that is stopped in the middle of sending may have to send again
        trial.close()
        figures[f"{words}: median ms"] = statistics.median(times)
        figures[f"{words}: p90 ms"] = times[int(len(times) * 0.9)]
        figures[f"{words}: max ms"] = times[-1]
    return figures


def _changes(trial: Trial, count: int, wake_up: str) -> list[float]:
    """One after the other, at moments that have nothing to do with the beat's."""
    app, client, chance = (
        trial.app(pyncette_wake_up=wake_up),
        redis.Redis.from_url(trial.broker),
        random.Random(wake_up),
    )
    times = []
    for number in chance.sample(range(trial.sizes.entries), count):
        time.sleep(1 + chance.random())
        began = time.perf_counter()
        schedule_task(
            "proj.send_digest", f"digest-{number}", execute_at=datetime.now(timezone.utc), args=[number], app=app
        )
        taken: Any = client.brpop([QUEUE], timeout=30)
        assert taken is not None, "it was never sent"
        times.append((time.perf_counter() - began) * 1000)
        sent = json.loads(base64.b64decode(json.loads(taken[1])["body"]))[0]
        assert sent == [number], f"{sent} was sent, and not {number}"
    desk_of(app).close()
    return times

"""The sender of ``delay.py``: one process, one ``apply_async`` after the other."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.benchmarks.delay_trial import AHEAD, FIRST, Load


def moment(eta: float) -> datetime:
    return datetime.fromtimestamp(eta, timezone.utc)


def load(proj: Any, count: float, spread: float) -> None:
    """Send; leaves seconds and the first ETA in the file ``loaded``."""
    far = time.time() + 86_400
    started = time.perf_counter()
    for number in range(FIRST):
        proj.touch.apply_async((far,), eta=moment(far + number))
    each = (time.perf_counter() - started) / FIRST
    first = time.time() + AHEAD + 1.25 * each * count
    started = time.perf_counter()
    for eta in Load(int(count), int(spread)).etas(first):
        proj.touch.apply_async((eta,), eta=moment(eta))
    Path("loaded").write_text(json.dumps([time.perf_counter() - started, first]))

"""The peer of ``delay.py``: the package ``pyncette`` with ``execute_at`` on Redis, where it is installed.

``python -m tests.benchmarks.delay_peer run URL`` polls and runs, ``… load URL COUNT SPREAD`` schedules.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.benchmarks.delay_trial import AHEAD, FIRST, Load


def app_of(url: str) -> tuple[Any, Any]:
    from pyncette import Context, Pyncette  # type: ignore[import-not-found]
    from pyncette.redis import redis_repository  # type: ignore[import-not-found]

    app = Pyncette(repository_factory=redis_repository, redis_url=url)
    log = Path(f"runs-{os.getpid()}").open("a", buffering=1)  # noqa: SIM115 - for as long as the process lives

    @app.dynamic_task()
    async def touch(context: Context) -> None:
        eta = context.args["eta"]
        log.write(f"{eta} {time.time() - eta:.4f} 0\n")

    return app, touch


async def run(url: str) -> None:
    app, _ = app_of(url)
    async with app.create() as context:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, context.shutdown)
        await context.run()


async def load(url: str, count: int, spread: int) -> None:
    app, touch = app_of(url)
    async with app.create() as context:

        async def schedule(name: str, eta: float) -> None:
            moment = datetime.fromtimestamp(eta, timezone.utc)
            await context.schedule_task(touch, name, execute_at=moment, eta=eta)

        started = time.perf_counter()
        for number in range(FIRST):
            await schedule(f"far{number}", time.time() + 86_400)
        each = (time.perf_counter() - started) / FIRST
        first = time.time() + AHEAD + 1.25 * each * count
        started = time.perf_counter()
        for number, eta in enumerate(Load(count, spread).etas(first)):
            await schedule(str(number), eta)
    seconds = time.perf_counter() - started
    Path("loaded").write_text(json.dumps([seconds, first]))  # noqa: ASYNC240 - nothing waits for it


if __name__ == "__main__":
    if sys.argv[1] == "run":
        asyncio.run(run(sys.argv[2]))
    else:
        asyncio.run(load(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))

"""Many tasks with ETAs spread over a minute: parked, native and Pyncette's ``execute_at``, one after the other.

``python -m tests.benchmarks.delay [--count 100000] [--spread 60] [--kill] [CONTESTANT ...]``. The broker is a Redis of
its own, or a RabbitMQ. With ``--kill`` one of the beats is killed half-way, and then the worker, which is replaced.
Celery has one worker of two processes, and two beats where messages are parked. Lag is start minus ETA by this host's
clock; memory is that of the worker's main process, which is where Celery keeps ETAs; CPU counts from the first ETA on.
``pyncette`` takes part where it is installed: ``pip install 'pyncette[redis]'``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.delay_kills import KilledTrial
from tests.benchmarks.delay_trial import CeleryTrial, Figures, Load, PyncetteTrial
from tests.support.own_databases import OwnMariadb, OwnPostgres
from tests.support.own_rabbit import OwnRabbit
from tests.support.own_redis import OwnRedis

NATIVE, PEER = "native", "pyncette"
DATABASES = {"postgresql": OwnPostgres, "mariadb": OwnMariadb}
CONTESTANTS = (NATIVE, PEER, "redis", *DATABASES, "sqlite")


def trial(name: str, load: Load, rabbit: bool, kill: bool) -> Figures:
    """One contestant over fresh servers."""
    kind = KilledTrial if kill else CeleryTrial
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(OwnRedis())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base, server, store = redis.url.rsplit("/", 1)[0], redis.pid, None
        if name == PEER:
            return PyncetteTrial(directory, server, load, f"{base}/1").run()
        if name in DATABASES:
            database = stack.enter_context(DATABASES[name]())
            server, store = database.pid, database.url
        elif name == "sqlite":
            store = f"sqlite:///{directory}/store.sqlite3"
        elif name == "redis":
            store = f"{base}/1"
        broker = stack.enter_context(OwnRabbit()).url if rabbit else f"{base}/0"
        return kind(directory, server, load, broker, store).run()


def table(results: dict[str, Figures], load: Load) -> str:
    figures = list(dict.fromkeys(figure for result in results.values() for figure in result))
    lines = [f"| {load.count:,} ETAs over {load.spread} s | {' | '.join(results)} |", "|---|" + "--:|" * len(results)]
    for figure in figures:
        cells = [f"{result[figure]:,.0f}" if figure in result else "-" for result in results.values()]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contestants", nargs="*", metavar="CONTESTANT", help=f"any of {', '.join(CONTESTANTS)}")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--spread", type=int, default=60, help="seconds over which the ETAs lie")
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis")
    parser.add_argument("--kill", action="store_true", help="kill a beat half-way, and then the worker")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all that was started ends, too
    load, results = Load(options.count, options.spread), {}
    for name in options.contestants or CONTESTANTS:
        if name == PEER and importlib.util.find_spec("pyncette") is None:
            sys.stderr.write("pyncette is not installed, and left out\n")
            continue
        before = os.getloadavg()[0]
        results[name] = trial(name, load, options.broker == "rabbitmq", options.kill)
        sys.stderr.write(f"{name} (load {before:.1f} before): {json.dumps(results[name])}\n")
    sys.stdout.write(table(results, load))


if __name__ == "__main__":
    main()

"""Very many dynamic entries in one store, and a beat: ``python -m tests.benchmarks.dynamic redis|postgresql [...]``.

First the entries are loaded with ``schedule_tasks``, each due once a day from tomorrow on. Then a beat starts: its
memory, and its CPU while nothing is due, wake-ups listened to. Then ``--due`` entries more are due in each second,
spread over it, and after that all at its beginning, as cron lines are. Lag is received minus due, by one host's clock.

``--changes 60`` measures that instead: so many single changes, with wake-ups and without; see ``dynamic_change.py``.

The broker is a Redis of its own, as is the store ``redis``; ``postgresql`` is a fresh database on the server that the
tests use. One store per call: a million entries take minutes to load. ``--at URL --only load``, then ``--only watch``
do it in two calls, over an empty PostgreSQL database that you made, and drop afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.dynamic_change import changes
from tests.benchmarks.dynamic_trial import Figures, Sizes, Trial
from tests.benchmarks.stores_alone import PostgresAlone, RedisAlone
from tests.servers.catalogue import find
from tests.support.databases import postgresql_database
from tests.support.own_redis import OwnRedis

STORES = ("redis", "postgresql")
#: Of the broker, with ``--at``.
PORT = 26999


def measured(store: str, at: str | None, sizes: Sizes, changed: int, only: str) -> Figures:
    """The figures of one store."""
    with contextlib.ExitStack() as stack:
        # The namespace belongs to the app with this broker.
        broker = stack.enter_context(OwnRedis(port=PORT if at else None))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if store == "redis":
            alone: RedisAlone | PostgresAlone = RedisAlone(stack.enter_context(OwnRedis()).url)
        else:
            alone = PostgresAlone(at or stack.enter_context(_database()))
        trial = stack.enter_context(contextlib.closing(Trial(directory, broker.url, alone, sizes)))
        return changes(trial, changed) if changed else trial.run(load=only != "watch", watch=only != "load")


def _database() -> contextlib.AbstractContextManager[str]:
    server = find("postgresql").url
    assert server is not None, "no PostgreSQL"
    return postgresql_database(server)


def main() -> None:
    """One table, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", choices=STORES)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--idle", type=int, default=60, help="seconds for which the idle beat is watched")
    parser.add_argument("--due", type=int, default=500, help="entries due per second")
    parser.add_argument("--seconds", type=int, default=30, help="how long so many are due")
    parser.add_argument("--loaders", type=int, default=1, help="processes that load at once")
    parser.add_argument("--changes", type=int, default=0, help="measure so many single changes instead")
    parser.add_argument("--at", metavar="URL", help="the PostgreSQL database")
    parser.add_argument("--only", choices=["load", "watch"], default="", help="with --at: do it in two calls")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    sizes = Sizes(given.entries, given.idle, given.due, given.seconds, given.loaders)
    figures = measured(given.store, given.at, sizes, given.changes, given.only)
    sys.stderr.write(f"{given.store} (load {before:.1f} before): {json.dumps(figures)}\n")
    sys.stdout.write(f"| {given.entries:,} entries | {given.store} |\n|---|--:|\n")
    for name, figure in figures.items():
        sys.stdout.write(f"| {name} | {figure:,.1f} |\n")


if __name__ == "__main__":
    main()

"""A source made by the real package, and the command that imports it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery

from celery_pyncette.core.instants import NEVER
from celery_pyncette.core.records import Key, Record
from celery_pyncette.migrate.differences import UNEXPLAINED
from celery_pyncette.stores.protocol import Query
from tests.cli.setting import Shop, app_of, document

CHECKOUT = Path(__file__).parents[2]
#: Milliseconds by which an event of the sun may differ; all else is exact.
SUN = 2_000


@dataclass(frozen=True)
class Source:
    """Where a real scheduler keeps its entries, and when each is due there; None: it is not."""

    scheduler: str
    place: str
    due: dict[str, int | None]


def made(maker: str, scheduler: str, place: str, argument: str | None = None) -> Source:
    """Run a maker in a process of its own: the packages want their own settings."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"tests.migrate.makers.{maker}", argument or place],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Source(scheduler, place, json.loads(done.stdout))


class Target:
    """An app with a store of its own, set up by a beat."""

    def __init__(self, **conf: Any) -> None:
        entries = {"static": {"task": "shop.static", "schedule": 60.0}}
        self.app: Celery = app_of(f"memory://{secrets.token_hex(6)}", entries, **conf)
        self.shop = Shop(self.app)

    def take(self, source: Source, *more: str, code: int = 0) -> dict[str, Any]:
        """The JSON document of an import."""
        place = ("--source", source.place) if source.place else ()
        return document(self.app, "import", "--from", source.scheduler, *place, "--limit", "2000", *more, code=code)

    def record(self, name: str) -> Record:
        found = self.shop.store.fetch([Key(f"d:{name}")]).records[0]
        assert found is not None, name
        return found

    def records(self) -> dict[str, Record]:
        found: dict[str, Record] = {}
        cursor = None
        while True:
            page = self.shop.store.scan(Query(prefix="d:", limit=1000), cursor)
            found |= {record.spec.name: record for record in page.records}
            cursor = page.cursor
            if cursor is None:
                return found


def proven(source: Source, target: Target, *more: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Import it: first dry, then for good, then once more. Answers what the command said of each entry, by name.

    Every entry that is due there is due here at the same time, or the command says that it differs, and why.
    """
    dry = target.take(source, "--dry-run", *more, code=code)
    assert target.records() == {}, "a dry run writes nothing"
    done = target.take(source, *more, code=code)
    assert done["counts"] == dry["counts"]
    told = {entry["name"]: entry for entry in done["entries"]}
    assert told.keys() == source.due.keys()
    records = target.records()
    assert records.keys() == {name for name, entry in told.items() if entry["fate"] == "created"}
    for name, record in records.items():
        compare(name, record, source.due[name], told[name], target)
    again = target.take(source, *more, code=code)
    assert again["counts"] == {**done["counts"], "created": 0, "unchanged": len(records)}
    assert target.records() == records
    return told


def compare(name: str, record: Record, there: int | None, told: dict[str, Any], target: Target) -> None:
    """One entry: what the real package said, what is stored, what the command told."""
    assert told["due_here_ms"] == (None if record.due_at >= NEVER else record.due_at)
    if there is None:
        assert record.paused is not None or told["due_there_ms"] is None, name
        return
    tolerance = SUN if name.startswith("solar") else 1
    if told["due_there_ms"] is not None:
        assert abs(told["due_there_ms"] - there) <= tolerance or min(told["due_there_ms"], there) <= target.shop.now
    same = abs(record.due_at - there) <= tolerance
    overdue = max(record.due_at, there) <= target.shop.now
    assert (same or overdue) is (told["differs"] is None), (name, record.due_at, there, told)
    assert told["differs"] != UNEXPLAINED, (name, told)

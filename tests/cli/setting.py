"""An app, a store that a beat has set up, and the commands called on both."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from celery import Celery
from celery.bin.base import CLIContext
from celery.schedules import crontab
from click.testing import CliRunner, Result

from celery_pyncette.cli import pyncette
from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record, Write
from celery_pyncette.engine.keeping import Neighbours
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.events import Observers
from celery_pyncette.runtime import Runtime, fingerprint
from celery_pyncette.settings import Settings
from celery_pyncette.stores.protocol import Change, Founding, Store, Verdict
from celery_pyncette.stores.writes import change_of
from celery_pyncette.translate import static_key, translate_all

SCHEDULE: dict[str, Any] = {
    "report": {"task": "shop.report", "schedule": crontab(minute="30", hour="2")},
    "sync": {"task": "shop.sync", "schedule": 30.0},
}


def app_of(url: str | None, schedule: dict[str, Any] | None = None, **conf: Any) -> Celery:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.update(timezone="Europe/Berlin", result_expires=None, beat_schedule=schedule or SCHEDULE, **conf)
    if url is not None:
        app.conf.pyncette_store_url = url
    for entry in SCHEDULE.values():
        has_task(app, entry["task"])
    return app


def has_task(app: Celery, name: str) -> None:
    """Give an app a task."""

    @app.task(name=name, shared=False)
    def does_nothing() -> None: ...


def call(app: Celery, *args: str, columns: int | None = None) -> Result:
    """What `celery -A … pyncette ARGS` does, in this process."""
    context = CLIContext(app=app, no_color=False, workdir=None)
    env = {} if columns is None else {"COLUMNS": str(columns)}
    return CliRunner().invoke(pyncette, list(args), obj=context, env=env)


def document(app: Celery, *args: str, code: int = 0) -> dict[str, Any]:
    """The JSON document that a command prints; nothing but that."""
    result = call(app, *args, "--json")
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


@dataclass
class Shop:
    """An app whose namespace a beat has set up, without the beat: its store can be written to."""

    app: Celery = field(default_factory=lambda: app_of(f"memory://{secrets.token_hex(6)}"))

    def __post_init__(self) -> None:
        self.store: Store = Runtime(self.app).open_store()
        self.store.prepare(Founding(fingerprint=fingerprint(self.app)))
        self.deploy(self.app)

    def definitions(self, app: Celery) -> StaticDefinitions:
        return StaticDefinitions(app, Settings.of(app), translate_all(app)[0])

    def deploy(self, app: Celery) -> None:
        """Write the entries of an app, as a beat does when it starts."""
        Reconciler(self.store, self.definitions(app), Observers([])).run()

    def beat(self, app: Celery | None = None, owner: str = "host-a:11:abc") -> None:
        """Say that a beat with the configuration of an app lives."""
        definitions = self.definitions(app or self.app)
        timings = {name: definitions.definition(name).timing for name in definitions.static()}
        about = {"host": owner.split(":", maxsplit=1)[0], "pid": 11, "version": "1.2.3"}
        Neighbours(self.store, owner, about, timings).keep()

    def record(self, name: str = "sync") -> Record:
        found = self.store.fetch([static_key(name)]).records[0]
        assert found is not None
        return found

    def change(self, name: str = "sync", **fields: Any) -> None:
        """Replace fields of the record of a static entry."""
        before = self.record(name)
        lease_for = fields.pop("lease_for", None)
        write = Write(record=replace(before, **fields), lease_for=lease_for)
        assert self.store.apply([change_of(before.key, before, write)]).written[0].verdict is Verdict.APPLIED

    def add(self, name: str, **fields: Any) -> None:
        """A dynamic entry."""
        spec = EntrySpec(name=name, task="shop.dynamic", origin=Origin.DYNAMIC, schedule=fields.pop("schedule"))
        now = self.store.now()
        record = Record(
            key=Key(f"d:{name}"), lane=Lane.ENTRIES, generation="g", spec=spec, anchor=now, created_at=now, **fields
        )
        change = Change(key=record.key, expect=None, record=record, write_id=new_id())
        assert self.store.apply([change]).written[0].verdict is Verdict.APPLIED

    @property
    def now(self) -> Instant:
        return self.store.now()

"""The shipped middlewares in a real beat and a real worker, together."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.integration.project import PATIENCE, Project
from tests.support.wait import wait_until

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.timeout(120)]

MORE = """
import logging

import sentry_sdk
from celery import signals
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from sentry_sdk.integrations.celery import CeleryIntegration
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

from celery_pyncette import Pyncette
from celery_pyncette.middleware.logs import LogContext
from celery_pyncette.middleware.opentelemetry import otel_span
from celery_pyncette.middleware.sentry import sentry_labels
from celery_pyncette.middleware.sqlalchemy import SessionPerRun
from celery_pyncette.observe.json_logs import JsonFormatter


def keep(file, **said):
    with (HERE / f"{file}.jsonl").open("a") as log:
        log.write(json.dumps(said, default=str) + "\\n")


class Transport(sentry_sdk.transport.Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "event":
                keep("sentry", tags=item.payload.json["tags"])


class Exporter(SpanExporter):
    def export(self, spans):
        for span in spans:
            keep("spans", name=span.name, attributes=dict(span.attributes))
        return SpanExportResult.SUCCESS


sentry_sdk.init(dsn="http://public@127.0.0.1:1/1", transport=Transport, integrations=[CeleryIntegration()])
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Exporter()))
trace.set_tracer_provider(provider)
sessions = SessionPerRun(sessionmaker(create_engine(f"sqlite:///{HERE}/notes.sqlite3")))


@signals.after_setup_task_logger.connect
def as_json(logger, **_):
    handler = logging.FileHandler(HERE / "log.jsonl")
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)


pyncette = Pyncette(app)
for middleware in (LogContext(), otel_span, sentry_labels, sessions):
    pyncette.middleware(middleware, scheduled=True)
for middleware in (LogContext(), otel_span, sentry_labels):
    pyncette.dispatch_middleware(middleware)


@app.task
def work(fails):
    from celery.utils.log import get_task_logger

    get_task_logger("proj").warning("at work")
    sessions.current.execute(text("insert into notes values (:text)"), {"text": "failed" if fails else "worked"})
    if fails:
        raise ValueError("as asked")
"""


def lines(project: Project, name: str) -> list[dict[str, object]]:
    path = project.directory / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rows(project: Project) -> set[tuple[str]]:
    with sqlite3.connect(project.directory / "notes.sqlite3") as database:
        return set(database.execute("select text from notes").fetchall())


def test_they_work_together(project: Project):
    pytest.importorskip("opentelemetry.sdk")
    entries = {name: {"task": "proj.work", "schedule": 1.0, "args": (name == "bad",)} for name in ("good", "bad")}
    project.write(MORE, beat_schedule=entries)
    with sqlite3.connect(project.directory / "notes.sqlite3") as database:
        database.execute("create table notes (text varchar(20))")
    beat = project.working_beat()
    worker = project.worker("-c", "1", pool="prefork")
    wait_until(lambda: {span["name"] for span in lines(project, "spans")} >= SPANS, PATIENCE, worker.tail)
    wait_until(lambda: lines(project, "sentry") and rows(project), PATIENCE, worker.tail)
    assert rows(project) == {("worked",)}

    for line in lines(project, "log"):
        assert line["entry"] in entries
        assert line["attempt"] == 1
        assert str(line["due_at"]).endswith("+00:00")
    assert {line["message"] for line in lines(project, "log")} == {"at work"}
    for span in lines(project, "spans"):
        assert span["attributes"].keys() == {"pyncette.entry", "pyncette.due_at", "pyncette.attempt"}
    for event in lines(project, "sentry"):
        assert event["tags"]["pyncette.entry"] == "bad"
    assert beat.terminate() == 0


SPANS = {"run proj.work", "dispatch good", "dispatch bad"}

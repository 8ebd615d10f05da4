"""sentry-sdk's own integration with Celery's beat, as it comes: a check-in for every entry."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.integration.project import PATIENCE, Project
from tests.support.wait import wait_until

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.timeout(120)]

MORE = '''
from datetime import timedelta

import sentry_sdk
from celery.schedules import crontab, schedule
from sentry_sdk.integrations.celery import CeleryIntegration

sentry_sdk.init(
    dsn=settings.pop("sentry_dsn"), integrations=[CeleryIntegration(monitor_beat_tasks=True)], environment="test"
)


class Interval(schedule):
    """Sentry takes whole minutes only; what it is told and when it is due are two things here."""

    def remaining_estimate(self, last_run_at):
        return timedelta(seconds=1)


class Crontab(crontab):
    remaining_estimate = Interval.remaining_estimate


settings["beat_schedule"] = {
    "interval-1": {"task": "proj.note", "schedule": Interval(60)},
    "interval-2": {"task": "proj.note", "schedule": Interval(120)},
    "crontab-1": {"task": "proj.note", "schedule": Crontab()},
    "crontab-2": {"task": "proj.note", "schedule": Crontab(hour="3")},
    "broken": {"task": "proj.note", "schedule": Interval(60), "args": (object(),)},
}
'''


class Receiver:
    """Takes envelopes as Sentry would."""

    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.take(body)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://public@127.0.0.1:{self.server.server_port}/1"

    def take(self, envelope: bytes) -> None:
        lines = envelope.split(b"\n")[1:]
        for header, payload in zip(lines[::2], lines[1::2], strict=False):
            if header.strip():
                self.items.append((json.loads(header)["type"], json.loads(payload)))

    def check_ins(self, entry: str, status: str) -> list[dict[str, Any]]:
        found = [item for kind, item in list(self.items) if kind == "check_in"]
        return [item for item in found if item["monitor_slug"] == entry and item["status"] == status]

    def said(self, text: str) -> list[dict[str, Any]]:
        """The error events that have this text."""
        return [item for kind, item in list(self.items) if kind == "event" and text in json.dumps(item)]


@pytest.fixture
def sentry() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join(5)


def test_there_is_a_check_in_for_each_entry_and_the_broken_one_alone_is_an_error(project: Project, sentry: Receiver):
    entries = ["interval-1", "interval-2", "crontab-1", "crontab-2"]
    project.write(MORE, sentry_dsn=sentry.dsn)
    project.worker()
    beat = project.working_beat()

    for name in [*entries, "broken"]:
        wait_until(lambda name=name: sentry.check_ins(name, "in_progress"), PATIENCE, f"{name} begins", every=0.1)
    for name in entries:
        wait_until(lambda name=name: sentry.check_ins(name, "ok"), PATIENCE, f"{name} ended well", every=0.1)
        begun = {item["check_in_id"] for item in sentry.check_ins(name, "in_progress")}
        assert {item["check_in_id"] for item in sentry.check_ins(name, "ok")} <= begun
        config = sentry.check_ins(name, "in_progress")[0]["monitor_config"]
        assert config["schedule"]["type"] == name.partition("-")[0]

    wait_until(lambda: sentry.said("publish_failed: 'broken'"), PATIENCE, "the error is reported", every=0.1)
    assert sentry.check_ins("broken", "ok") == []
    failed = set(re.findall(r"publish_failed: '([^']*)'", beat.text))
    assert failed == {"broken"}
    record = project.records()["broken"]
    assert record.counters.started == 0
    assert record.counters.skipped >= 1

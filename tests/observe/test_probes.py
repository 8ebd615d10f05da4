"""What a real beat tells probes in each state it can be in; the table of docs/monitoring.md is compared with that."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest

from tests.integration.project import PATIENCE, Project
from tests.observe.conftest import ANY, address_of
from tests.observe.http import ask
from tests.packaging.test_contracts import CHECKOUT
from tests.support.proxy import TcpProxy
from tests.support.wait import wait_until

pytestmark = pytest.mark.full_matrix

PATHS = ("/health", "/live", "/ready")

STICKS = """
from celery.signals import before_task_publish


@before_task_publish.connect
def sticks(**_):
    while (HERE / "stuck").exists():
        time.sleep(0.05)
"""


def told(address: str) -> tuple[str, ...]:
    """The statuses of all three; "none" where nothing is answered."""

    def status(path: str) -> str:
        try:
            return str(ask(address, path, timeout=1.0).status)
        except OSError:
            return "none"

    return tuple(status(path) for path in PATHS)


def documented() -> dict[str, tuple[str, ...]]:
    text = (CHECKOUT / "docs" / "monitoring.md").read_text()
    table = text.partition("| the beat |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([a-z ]+?) \| (\w+) \| (\w+) \| (\w+) \|", table, re.MULTILINE)
    return {name: tuple(statuses) for name, *statuses in rows}


@pytest.mark.timeout(180)
def test_the_table_of_the_documentation_is_what_a_beat_tells(
    project: Project, proxy_to: Callable[[str], TcpProxy], redis_url: str
):
    broker, store = proxy_to(project.broker.url), proxy_to(redis_url)
    project.broker = project.broker.through(broker.through(project.broker.url))
    project.store_url = store.through(redis_url)
    project.write(
        STICKS, pyncette_http_address=ANY, pyncette_claim_time=2, pyncette_store_timeout=1, pyncette_health_grace=4
    )
    seen: dict[str, tuple[str, ...]] = {}

    def note(state: str, address: str) -> None:
        """The statuses once they are what the page says; else what they came to be."""
        expected = documented().get(state)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: told(address) == expected, PATIENCE, every=0.2)
        seen[state] = told(address)

    store.refuse()
    beat = project.beat()
    address = address_of(beat)
    note("starting", address)
    store.accept()
    note("idle", address)
    store.refuse()
    note("store down", address)
    store.accept()
    note("idle", address)
    broker.refuse()
    note("broker down", address)
    broker.accept()
    note("idle", address)
    beat.pause()
    note("paused", address)
    beat.resume()
    note("idle", address)
    (project.directory / "stuck").touch()
    note("stuck", address)
    beat.wait_for_log(r"stuck: this beat has done nothing for \d+ s; it is at .*sticks", PATIENCE)
    (project.directory / "stuck").unlink()
    note("idle", address)
    beat.wait_for_log(r"unstuck: this beat goes on after \d+ s", PATIENCE)
    assert seen == documented()
    assert beat.terminate() == 0, beat.tail()


@pytest.mark.timeout(60)
def test_a_beat_whose_port_is_taken_says_so_and_works(project: Project):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as owner:
        project.write(pyncette_http_address=f"127.0.0.1:{owner.getsockname()[1]}")
        beat = project.working_beat()
        beat.wait_for_log("ERROR/MainProcess. http_down: cannot answer at", PATIENCE)
        beat.wait_for_log("Sending due task", PATIENCE)
        assert beat.terminate() == 0


@pytest.mark.timeout(60)
def test_without_an_address_there_is_no_http_and_no_prometheus(project: Project):
    more = """
import atexit, sys
atexit.register(lambda: (HERE / "modules").write_text(" ".join(sys.modules)))
"""
    project.write(more)
    beat = project.working_beat()
    beat.wait_for_log("Sending due task", PATIENCE)
    assert beat.terminate() == 0
    modules = (project.directory / "modules").read_text().split()
    assert "celery_pyncette.observe.logs" in modules
    assert "celery_pyncette.observe.metrics" not in modules
    assert "http_up" not in beat.text


def test_a_scheduler_that_is_made_for_the_banner_opens_nothing():
    from celery import Celery

    from celery_pyncette.beat.scheduler import Scheduler

    app = Celery("lazy", broker="memory://")
    app.conf.update(pyncette_store_url="memory://lazy", pyncette_http_address="127.0.0.1:1")
    scheduler = Scheduler(app, lazy=True)
    assert scheduler._lookout is None
    scheduler.close()
    scheduler.close()


@pytest.mark.timeout(90)
def test_a_beat_pings_for_what_it_sends_and_for_what_is_missed(project: Project):
    """To a receiver on this machine; each entry has its own URLs, from pyncette_policies."""
    import http.server
    import threading

    called: list[str] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            called.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        here = f"http://127.0.0.1:{receiver.server_address[1]}"
        more = 'app.conf.beat_schedule["bad"] = {"task": "proj.bad", "schedule": 1.0, "args": (object(),)}\n'
        policies = {
            "every-second": {"ping": {"start": f"{here}/good/start", "miss": f"{here}/good/miss"}},
            "b*": {"ping": {"start": f"{here}/bad/start", "miss": f"{here}/bad/miss"}},
        }
        project.write(more, pyncette_policies=policies)
        beat = project.working_beat()
        wait_until(lambda: {"/good/start", "/bad/miss"} <= set(called), PATIENCE, beat.tail)
        assert beat.terminate() == 0
        receiver.shutdown()
        thread.join(5)
    assert set(called) == {"/good/start", "/bad/miss"}
    assert "/start" not in beat.text, "a URL is a secret"

"""A thousand slow or hostile clients: ticks stay on time, and a probe is answered."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time

import pytest

from tests.integration.project import PATIENCE, Project
from tests.observe.conftest import ANY, address_of
from tests.observe.http import ask
from tests.observe.scraped import scrape
from tests.support.wait import wait_until

pytestmark = pytest.mark.full_matrix

CLIENTS = 1000
SECONDS = 12.0
PIECES = (b"", b"G", b"GET /metr", b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n", b"\x00\xff" * 100, b"X: y\r\n")


class Crowd:
    """Keeps a thousand connections open in one thread: each says a piece now and then, and comes back when cut off."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._stopped = False
        self.opened = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._thread.join(10)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            while not self._stopped:
                for _ in range(min(50, CLIENTS - len(selector.get_map()))):
                    self._open(selector)
                for key, _ in selector.select(0.02):
                    self._talk(key.fileobj, selector)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def _open(self, selector: selectors.BaseSelector) -> None:
        client = socket.socket()
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            client.connect(self._address)
        selector.register(client, selectors.EVENT_READ)
        self.opened += 1
        with contextlib.suppress(OSError):
            client.send(PIECES[self.opened % len(PIECES)])

    def _talk(self, client, selector: selectors.BaseSelector) -> None:
        try:
            if client.recv(1000):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        selector.unregister(client)
        client.close()


@pytest.mark.timeout(120)
def test_ticks_stay_on_time(project: Project, record_property):
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < CLIENTS + 200:
        pytest.skip(f"needs {CLIENTS + 200} file descriptors, has {soft}")
    project.write(pyncette_http_address=ANY, pyncette_health_grace=5)
    beat = project.working_beat()
    address = address_of(beat)
    wait_until(lambda: "Sending due task" in beat.text, PATIENCE, "it sends")
    before = scrape(address)
    crowd = Crowd(address)
    begun, probes = time.monotonic(), []
    try:
        while time.monotonic() - begun < SECONDS:
            asked = time.monotonic()
            with contextlib.suppress(OSError):
                if ask(address, "/health", timeout=3.0).status == 200:
                    probes.append(time.monotonic() - asked)
            time.sleep(0.2)
    finally:
        crowd.stop()
    lasted = time.monotonic() - begun
    after = wait_until(lambda: scrape(address), 10, swallow=(OSError,))
    sent = after.gained(before, "pyncette_tasks_staleness_seconds_count")
    late = sent - after.gained(before, "pyncette_tasks_staleness_seconds_bucket", le="1.0")
    record_property("slow connections", f"{crowd.opened} opened, {sent:.0f} sent, worst probe {max(probes):.2f} s")
    assert crowd.opened >= CLIENTS
    assert sent >= lasted - 3
    assert late == 0
    assert len(probes) >= 5
    assert beat.terminate() == 0

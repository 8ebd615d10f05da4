"""HTTP as probes, scrapers and hostile clients speak it, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from celery_pyncette.clock import SystemClock
from celery_pyncette.events import Event, HttpDown, HttpUp
from celery_pyncette.observe import server as module
from celery_pyncette.observe.pages import Page, text
from celery_pyncette.observe.server import Server, listen
from tests.observe.http import ask, say
from tests.support.wait import wait_until


def fails(headers: Any) -> Page:
    raise RuntimeError("a secret")


PAGES = {
    "/health": lambda headers: text(HTTPStatus.OK, "well"),
    "/accept": lambda headers: text(HTTPStatus.OK, headers.get("accept", "nothing")),
    "/large": lambda headers: Page(HTTPStatus.OK, "text/plain", b"x" * 3_000_000),
    "/fails": fails,
}


class House:
    """A server, and what it told."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.told: list[Event] = []
        self.server = Server(address, PAGES, self.told.append, SystemClock())
        self.server.start()

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def address(self) -> str:
        return str(wait_until(lambda: self.of(HttpUp), 5)[0].address)


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.server.stop()


def test_a_page_is_answered_and_the_connection_closed(house: House):
    said = ask(house.address, "/health")
    assert (said.status, said.body) == (200, b"well\n")
    assert said.headers["content-length"] == "5"
    assert said.headers["connection"] == "close"


def test_a_query_makes_no_difference(house: House):
    assert ask(house.address, "/health?probe=1").status == 200


def test_headers_reach_the_page(house: House):
    assert ask(house.address, "/accept", headers="ACCEPT:  text/x \r\n").body == b"text/x\n"


def test_head_is_answered_without_a_body(house: House):
    said = ask(house.address, "/health", method="HEAD")
    assert (said.status, said.body, said.headers["content-length"]) == (200, b"", "5")


def test_a_large_page_arrives_whole(house: House):
    assert len(ask(house.address, "/large").body) == 3_000_000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"])
def test_other_methods_are_refused(house: House, method: str):
    said = ask(house.address, "/health", method=method, headers="Content-Length: 5\r\n")
    assert (said.status, said.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"GET http://elsewhere.example/ HTTP/1.1\r\n\r\n", 404),
        (b"GET /health\r\n\r\n", 400),
        (b"GET  /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/2.0\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", 404),
        (b"GET /health HTTP/1.1\n\n", 200),
        (b"GET /health HTTP/1.1\r\nno colon\r\n: nothing\r\n\r\n", 200),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 5000, 431),
    ],
)
def test_whatever_is_said_has_an_answer(house: House, request_: bytes, status: int):
    assert say(house.address, request_).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_page_that_fails_says_nothing_of_why(house: House, caplog: pytest.LogCaptureFixture):
    said = ask(house.address, "/fails")
    assert said.status == 500
    assert b"secret" not in said.body
    assert "http_failed" in caplog.text
    assert ask(house.address).status == 200


def test_a_request_may_come_in_pieces(house: House):
    host, port = house.address.split(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        for piece in (b"GET /hea", b"lth HTTP/1.1\r", b"\n\r", b"\n"):
            connection.sendall(piece)
            time.sleep(0.02)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def connect(house: House) -> socket.socket:
    host, port = house.address.split(":")
    return socket.create_connection((host, int(port)), 5)


def hung_up(connection: socket.socket) -> bool:
    """Whether the other end has closed."""
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_who_says_nothing_is_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    with connect(house) as silent, connect(house) as slow:
        slow.sendall(b"GET /")
        wait_until(lambda: hung_up(silent) and hung_up(slow), 5)
    assert ask(house.address).status == 200


def test_who_does_not_read_is_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    with connect(house) as deaf:
        deaf.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        wait_until(lambda: house.server._clients, 5)
        wait_until(lambda: not house.server._clients, 5, "it is let go")


def test_one_too_many_takes_the_place_of_the_one_that_was_silent_longest(house: House):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(house)) for _ in range(module.MOST + 10)]
        wait_until(lambda: hung_up(silent[0]), 5)
        assert len(house.server._clients) <= module.MOST
        assert ask(house.address).status == 200
        assert not hung_up(silent[-1])


def test_a_taken_port_is_told_once_and_tried_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TRY_AGAIN", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as owner:
        house = House(f"127.0.0.1:{owner.getsockname()[1]}")
        wait_until(lambda: house.of(HttpDown), 5)
        time.sleep(0.3)
        assert len(house.of(HttpDown)) == 1
        assert house.of(HttpUp) == []
    assert ask(house.address).status == 200
    house.server.stop()


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "no-such-host.invalid:1", "192.0.2.1:9"])
def test_an_address_that_cannot_be_is_told(address: str):
    house = House(address)
    wait_until(lambda: house.of(HttpDown), 5)
    house.server.stop()


def test_it_stops_at_once_and_frees_its_port():
    house = House()
    address = house.address
    with connect(house):
        asked = time.monotonic()
        house.server.stop()
        house.server.stop()
        assert time.monotonic() - asked < 0.1
        wait_until(lambda: not any(t.name == "pyncette-http" for t in threading.enumerate()), 5)
    listen(address).close()


def test_one_that_never_started_can_be_stopped():
    Server("127.0.0.1:0", PAGES, print, SystemClock()).stop()


@pytest.mark.parametrize(
    ("address", "host"), [(":0", None), ("0", None), ("localhost:0", "127.0.0.1"), ("0.0.0.0:0", "0.0.0.0")]
)
def test_addresses(address: str, host: str | None):
    with listen(address) as listener:
        assert host in (None, listener.getsockname()[0])


def test_an_address_of_ipv6():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        with listen("[::1]:0") as listener:
            assert listener.family == socket.AF_INET6
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")

"""Ping URLs, called over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from celery_pyncette import events
from celery_pyncette.clock import SystemClock
from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.core.instants import Instant
from celery_pyncette.observe import pings as module
from celery_pyncette.observe.pings import Pings
from tests.support.wait import stays, wait_until

RUN: dict[str, Any] = {"key": "s:e", "entry": "e", "task": "t", "due_at": Instant(0)}
SENT = events.Dispatched(**RUN, task_id="i", attempt=1, lag=0, seconds=0)
OCCASIONS = {
    "start": SENT,
    "success": events.UsedUp(**RUN, outcome="succeeded", attempt=1),
    "failure": events.UsedUp(**RUN, outcome="failed", attempt=1),
    "miss": events.Missed(**RUN, count=1, reason="policy"),
}


class Receiver:
    """Takes note of each request line, and answers with the same bytes each time; None: with nothing, for ever."""

    def __init__(self) -> None:
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.lines: list[str] = []
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._listener.settimeout(0.05)
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.lines.append(connection.recv(4096).decode().split("\r\n")[0])
            if self.answer is None:
                self._held.append(connection)
                continue
            with connection:
                connection.sendall(self.answer)

    def close(self) -> None:
        self._closed = True
        self._thread.join(5)
        for one in (self._listener, *self._held):
            one.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


class Told(list):
    """What the pings told, as (occasion, result)."""

    def pairs(self) -> list[tuple[str, str]]:
        return [(event.occasion, event.result) for event in self]


@pytest.fixture
def told() -> Told:
    return Told()


def pings(told: Told, *policies: tuple[str, dict[str, str]]) -> Pings:
    return Pings(policies, told.append, SystemClock())


@pytest.mark.parametrize("occasion", list(OCCASIONS))
def test_each_occasion_has_its_url(receiver: Receiver, told: Told, occasion: str):
    urls = {name: f"{receiver.url}/{name}?x=1" for name in OCCASIONS}
    pings(told, ("e", urls)).see(OCCASIONS[occasion])
    wait_until(lambda: told, 5)
    assert receiver.lines == [f"GET /{occasion}?x=1 HTTP/1.1"]
    assert told.pairs() == [(occasion, "sent")]


@pytest.mark.parametrize("outcome", ["failed", "abandoned", "revoked"])
def test_every_end_but_success_is_a_failure(receiver: Receiver, told: Told, outcome: str):
    pings(told, ("e", {"failure": receiver.url})).see(events.UsedUp(**RUN, outcome=outcome, attempt=1))
    wait_until(lambda: told.pairs() == [("failure", "sent")], 5)


def test_an_occasion_without_a_url_is_silent(receiver: Receiver, told: Told):
    one = pings(told, ("e", {"miss": receiver.url}), ("x", {"start": receiver.url}))
    one.see(SENT)
    assert one._queue.empty()


def test_parked_messages_have_no_name_and_fit_no_pattern(receiver: Receiver, told: Told):
    one = pings(told, ("*", {"start": receiver.url}))
    for entry in ("", "e"):
        one.see(events.Dispatched(**{**RUN, "entry": entry}, task_id="i", attempt=1, lag=0, seconds=0))
    wait_until(lambda: told, 5)
    assert [event.entry for event in told] == ["e"]


def test_the_exact_name_decides_then_the_first_pattern(receiver: Receiver, told: Told):
    by = {
        name: {"start": f"{receiver.url}/{path}"} for name, path in (("e*", "pattern"), ("e", "exact"), ("*", "last"))
    }
    one = pings(told, *by.items())
    for entry in ("e", "eel", "other"):
        one.see(events.Dispatched(**{**RUN, "entry": entry}, task_id="i", attempt=1, lag=0, seconds=0))
    wait_until(lambda: len(told) == 3, 5)
    assert [line.split()[1] for line in receiver.lines] == ["/exact", "/pattern", "/last"]


def test_a_redirect_is_not_followed(receiver: Receiver, told: Told):
    receiver.answer = f"HTTP/1.1 302 Found\r\nLocation: {receiver.url}/elsewhere\r\n\r\n".encode()
    pings(told, ("e", {"start": receiver.url})).see(SENT)
    wait_until(lambda: told.pairs() == [("start", "failed")], 5)
    assert told[0].error == "status 302"
    stays(lambda: len(receiver.lines) == 1, 0.2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"HTTP/1.0 500\r\n", "status 500"),
        (b"SSH-2.0-nonsense\r\n", "ValueError"),
        (b"", "ValueError"),
        (b"x" * 10_000, "ValueError"),
    ],
)
def test_any_other_answer_is_a_failure(receiver: Receiver, told: Told, answer: bytes, error: str):
    receiver.answer = answer
    pings(told, ("e", {"start": receiver.url})).see(SENT)
    wait_until(lambda: told, 5)
    # What was not read before the close may come as a reset.
    assert told[0].error in (error, "ConnectionResetError")


def test_who_does_not_answer_is_given_up(receiver: Receiver, told: Told, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    receiver.answer = None
    pings(told, ("e", {"start": receiver.url})).see(SENT)
    wait_until(lambda: told.pairs() == [("start", "failed")], 5)
    assert told[0].error == "TimeoutError"


def test_the_queue_is_bounded_and_what_is_dropped_is_told(
    receiver: Receiver, told: Told, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MOST", 10)
    receiver.answer = None
    one = pings(told, ("e", {"start": receiver.url}))
    begun = time.monotonic()
    for _ in range(1000):
        one.see(SENT)
    assert time.monotonic() - begun < 1.0, "it waited"
    assert told.pairs().count(("start", "dropped")) >= 985


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/",
        "gopher://host/",
        "HTTP//host",
        "http://",
        "//host/path",
        "http://host:99999/",
        "http://host/a b",
        "http://host/\r\nX: y",
        "http://[::1/",
        "http://höst/",
        "",
    ],
)
def test_what_is_no_url_of_the_web_is_refused_at_the_start(told: Told, url: str):
    with pytest.raises(ConfigurationError, match="ping must be"):
        pings(told, ("e", {"start": url}))


def test_nothing_that_is_told_has_the_url(receiver: Receiver, told: Told):
    receiver.answer = b"HTTP/1.1 404 Not Found\r\n\r\n"
    pings(told, ("e", {"start": f"{receiver.url}/a-secret"})).see(SENT)
    wait_until(lambda: told, 5)
    assert "a-secret" not in repr(told)


def test_after_the_stop_nothing_is_called(receiver: Receiver, told: Told):
    one = pings(told, ("e", {"start": receiver.url}))
    one.stop()
    one.see(SENT)
    assert one._queue.empty()

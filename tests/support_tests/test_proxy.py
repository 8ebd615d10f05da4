"""The proxy loses exactly the answer that it was told to, after the server has acted on the request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import TcpProxy
from tests.support.wait import stays, wait_until


class Echo:
    """A server that remembers each request and answers `re:` and the request."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1000):
                    self.seen.append(data)
                    connection.sendall(b"re:" + data)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(echo.port) as proxy:
        yield proxy


def ask(connection: socket.socket, text: bytes) -> bytes:
    """The answer; empty if the connection was cut instead."""
    try:
        connection.sendall(text)
        return connection.recv(1000)
    except (ConnectionResetError, BrokenPipeError):
        return b""


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def test_it_passes_requests_and_answers_on(proxy: TcpProxy):
    with connect(proxy) as client:
        assert [ask(client, b"a"), ask(client, b"b")] == [b"re:a", b"re:b"]
    assert proxy.requests == 2


def test_the_second_answer_is_lost_and_its_request_was_served(proxy: TcpProxy, echo: Echo):
    proxy.lose_answer(2)
    with connect(proxy) as client:
        assert ask(client, b"a") == b"re:a"
        assert ask(client, b"b") == b""
    assert echo.seen == [b"a", b"b"]
    assert proxy.lost == 1
    with connect(proxy) as client:
        assert ask(client, b"c") == b"re:c"


def test_only_requests_that_match_are_counted(proxy: TcpProxy, echo: Echo):
    proxy.lose_answer(matching=b"COMMIT")
    with connect(proxy) as client:
        assert ask(client, b"SELECT") == b"re:SELECT"
        assert ask(client, b"do COMMIT") == b""
    assert echo.seen[-1] == b"do COMMIT"


def test_a_cut_ends_connections_and_the_next_one_works(proxy: TcpProxy):
    with connect(proxy) as client:
        assert ask(client, b"a") == b"re:a"
        proxy.cut()
        assert client.recv(10) == b""
    with connect(proxy) as client:
        assert ask(client, b"b") == b"re:b"


def test_a_refusing_proxy_serves_nobody_until_it_accepts(proxy: TcpProxy, echo: Echo):
    proxy.refuse()
    with connect(proxy) as client:
        assert ask(client, b"a") == b""
    assert echo.seen == []
    proxy.accept()
    with connect(proxy) as client:
        assert ask(client, b"b") == b"re:b"


def test_a_held_proxy_says_nothing_and_forgets_nothing(proxy: TcpProxy, echo: Echo):
    with connect(proxy) as client:
        assert ask(client, b"a") == b"re:a"
        proxy.hold()
        client.sendall(b"b")
        stays(lambda: echo.seen == [b"a"], 0.2, "the request got through")
        proxy.release()
        assert client.recv(10) == b"re:b"


def test_a_delay_is_kept(proxy: TcpProxy):
    proxy.delay = 0.2
    with connect(proxy) as client:
        begun = time.monotonic()
        assert ask(client, b"a") == b"re:a"
        assert time.monotonic() - begun >= 0.2


def test_connections_are_counted_and_closed_ones_forgotten(proxy: TcpProxy):
    with connect(proxy) as one, connect(proxy) as two:
        ask(one, b"a"), ask(two, b"b")
        assert proxy.connections == 2
    wait_until(lambda: proxy.connections == 0, 5, "closed connections are forgotten")


def test_a_url_leads_through_it(proxy: TcpProxy):
    assert proxy.through("mysql://root:x@db:3306/test?a=1") == f"mysql://root:x@127.0.0.1:{proxy.port}/test?a=1"

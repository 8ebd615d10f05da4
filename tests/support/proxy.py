"""A TCP proxy that loses answers, cuts, holds and delays: the network between us and a server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65536


@dataclass
class _Trap:
    """Loses the answer to the `left`-th request from now whose bytes contain `matching`."""

    matching: bytes
    left: int


@dataclass(eq=False)
class _Link:
    client: socket.socket
    server: socket.socket
    doomed: bool = False
    closed: bool = False
    answered: bool = True
    threads: list[threading.Thread] = field(default_factory=list)

    def close(self) -> None:
        self.closed = True
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class TcpProxy:
    """Listens on `port` and forwards to (host, upstream_port); a context manager.

    A request is what a client sends in one go: its bytes up to the server's next answer.
    """

    def __init__(self, upstream_port: int, host: str = "127.0.0.1") -> None:
        self._upstream = (host, upstream_port)
        self._guard = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._links: set[_Link] = set()
        self._trap: _Trap | None = None
        self._refusing = False
        self.delay = 0.0
        """Seconds before each piece of an answer is passed on."""
        self.lost = 0
        """Answers lost so far."""
        self.requests = 0
        """Requests seen so far."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._acceptor.start()

    def through(self, url: str) -> str:
        """The URL with this proxy in the place of its server."""
        parts = urlsplit(url)
        who = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{who[0]}{who[1]}127.0.0.1:{self.port}"))

    @property
    def connections(self) -> int:
        with self._guard:
            return len(self._links)

    def lose_answer(self, nth: int = 1, *, matching: bytes = b"") -> None:
        """Let the nth request from now (that contains `matching`) reach the server, swallow its answer, and cut.

        For clients that wait for one answer before they ask again, as all our stores do.
        """
        with self._guard:
            self._trap = _Trap(matching, nth)

    def cut(self) -> None:
        """Close every connection; new ones are accepted."""
        with self._guard:
            links = list(self._links)
        for link in links:
            self._drop(link)

    def refuse(self) -> None:
        """Close every connection and each new one, until `accept`."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        self._refusing = False

    def hold(self) -> None:
        """Pass nothing on in either direction, and keep the connections, until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._refusing = True
        self._open.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(5)
        with self._guard:
            threads = [thread for link in self._links for thread in link.threads]
        self.cut()
        for thread in threads:
            thread.join(5)

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._upstream, timeout=5)
            except OSError:
                client.close()
                continue
            self._join(client, server)

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        for end in (client, server):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, server)
        with self._guard:
            self._links.add(link)
        link.threads = [
            threading.Thread(target=self._pump, args=(link, pump), daemon=True)
            for pump in (self._request, self._answer)
        ]
        for thread in link.threads:
            thread.start()

    def _pump(self, link: _Link, step) -> None:
        # Closing one end wakes the other direction's thread; whatever it sees then is the end of the link.
        with contextlib.suppress(OSError):
            while not link.closed and step(link):
                pass
        self._drop(link)

    def _request(self, link: _Link) -> bool:
        data = link.client.recv(CHUNK)
        self._open.wait()
        with self._guard:
            if data and link.answered:
                link.answered = False
                self.requests += 1
            trap = self._trap
            if data and trap is not None and trap.matching in data:
                trap.left -= 1
                if trap.left == 0:
                    link.doomed, self._trap = True, None
        link.server.sendall(data)
        return bool(data)

    def _answer(self, link: _Link) -> bool:
        data = link.server.recv(CHUNK)
        if self.delay:
            time.sleep(self.delay)
        self._open.wait()
        with self._guard:
            link.answered = True
            if link.doomed:
                self.lost += bool(data)
                return False
        link.client.sendall(data)
        return bool(data)

    def _drop(self, link: _Link) -> None:
        link.close()
        with self._guard:
            self._links.discard(link)

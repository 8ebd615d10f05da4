"""HTTP for probes and scrapers: one thread, GET and HEAD, short patience, few connections.

One thread serves all connections, without blocking on any: a thousand clients that say nothing cost a thousand
short wake-ups, and no more. When there are too many, the one that has been silent for longest makes room, so that a
probe, which says all it has to say at once, is answered all the same.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.observe.pages import Page, page_for

#: Seconds from the first byte to the last, and seconds that a client has to hang up after that.
PATIENCE = 5.0
_LINGER = 1.0
#: Connections at a time; bytes of a request.
MOST = 64
_LONGEST = 8192
#: Accepted at once, before those that are there are looked at.
_IN_A_ROW = 16
_BREATH = 0.05
#: A taken port is tried again after so many seconds: in a deploy its owner is about to leave.
TRY_AGAIN = 10.0

Pages = Mapping[str, Callable[[Mapping[str, str]], Page]]


@dataclass(slots=True, eq=False)
class Client:
    """One connection."""

    sock: socket.socket
    until: float
    said: bytes = b""
    answer: memoryview = field(default_factory=lambda: memoryview(b""))
    answered: bool = False


class Server:
    """Answers ``pages`` at an address, from :meth:`start` to :meth:`stop`, in a daemon thread.

    :param address: as ``pyncette_http_address``: host:port, or :port for all interfaces.
    :param tell: takes ``HttpUp`` and ``HttpDown``.
    """

    def __init__(self, address: str, pages: Pages, tell: Callable[[events.Event], None], clock: Clock) -> None:
        self._address = address
        self._pages = pages
        self._tell = tell
        self._clock = clock
        self._stopped = False
        self._clients: dict[int, Client] = {}
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def start(self) -> None:
        """Begin, in a thread."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)
        threading.Thread(target=self._run, name="pyncette-http", daemon=True).start()

    def stop(self) -> None:
        """End soon; takes no lock and does not wait, for it may be called in a signal handler, and twice."""
        self._stopped = True
        if self._ends is not None:
            with contextlib.suppress(OSError):
                self._ends[0].send(b"x")

    def _run(self) -> None:
        assert self._ends is not None
        waker, self._woken = self._ends
        try:
            self._listen()
        finally:
            self._woken.close()
            waker.close()

    def _listen(self) -> None:
        complained = False
        while not self._stopped:
            try:
                listener = listen(self._address)
            except (OSError, ValueError) as error:
                if not complained:
                    self._tell(events.HttpDown(address=self._address, error=str(error)))
                complained = True
                self._rest()
                continue
            with listener:
                host, port = listener.getsockname()[:2]
                self._tell(events.HttpUp(address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
                self._serve(listener)

    def _rest(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.select(TRY_AGAIN)

    def _serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopped:
                for key, _ in selector.select(1.0 if self._clients else None):
                    if key.fileobj is listener:
                        self._accept(listener, selector)
                    elif key.data is not None and key.data.sock.fileno() >= 0:
                        self._go_on(key.data, selector)
                self._hang_up_on_the_slow(selector)
            for client in list(self._clients.values()):
                self._hang_up(client, selector)

    def _accept(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        for _ in range(_IN_A_ROW):
            try:
                sock, _peer = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # gone already; or this process has no file descriptor left, and should not ask at once
                self._clock.sleep(_BREATH)
                return
            if len(self._clients) >= MOST:
                self._hang_up(min(self._clients.values(), key=lambda client: client.until), selector)
            sock.setblocking(False)
            client = Client(sock, self._clock.monotonic() + PATIENCE)
            self._clients[sock.fileno()] = client
            selector.register(sock, selectors.EVENT_READ, client)

    def _go_on(self, client: Client, selector: selectors.BaseSelector) -> None:
        try:
            if client.answer:
                self._write(client, selector)
            else:
                self._read(client, selector)
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up(client, selector)

    def _read(self, client: Client, selector: selectors.BaseSelector) -> None:
        piece = client.sock.recv(4096)
        if not piece:
            self._hang_up(client, selector)
        elif not client.answered:
            client.said += piece
            if b"\r\n\r\n" in client.said or b"\n\n" in client.said or len(client.said) > _LONGEST:
                client.answer = memoryview(page_for(client.said, self._pages, _LONGEST))
                client.said = b""
                selector.modify(client.sock, selectors.EVENT_WRITE, client)

    def _write(self, client: Client, selector: selectors.BaseSelector) -> None:
        client.answer = client.answer[client.sock.send(client.answer) :]
        if not client.answer:
            # Closing with bytes unread would be a reset, and could take the answer away from its reader.
            client.answered = True
            client.until = self._clock.monotonic() + _LINGER
            client.sock.shutdown(socket.SHUT_WR)
            selector.modify(client.sock, selectors.EVENT_READ, client)

    def _hang_up_on_the_slow(self, selector: selectors.BaseSelector) -> None:
        now = self._clock.monotonic()
        for client in [client for client in self._clients.values() if client.until <= now]:
            self._hang_up(client, selector)

    def _hang_up(self, client: Client, selector: selectors.BaseSelector) -> None:
        self._clients.pop(client.sock.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            selector.unregister(client.sock)
        client.sock.close()


def listen(address: str) -> socket.socket:
    """A listening socket. :raises OSError, ValueError: if there cannot be one."""
    host, _, port = address.rpartition(":")
    number = int(port)
    if number > 65535:
        raise ValueError(f"port {number} is above 65535")
    host = host.strip("[]")
    if not host and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(("", number), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, number), family=family, backlog=128)

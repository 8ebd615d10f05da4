"""Ping URLs: a dead man's switch elsewhere is told that an entry was sent, succeeded, failed, or was missed.

The URLs come from ``pyncette_policies`` alone, never from a stored entry: whoever may write to the store must not
make beats call what they like. They often are secrets, so only their host is ever shown.
"""

from __future__ import annotations

import http.client
import queue
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.core.errors import ConfigurationError

#: Seconds for one ping from its connect to the status line of its answer.
PATIENCE = 5.0
#: Pings that wait; more are dropped, and counted.
MOST = 1000
_HEAD = 4096
_KNOWN = 4096

Policies = Sequence[tuple[str, Mapping[str, str]]]


class Pings:
    """An Observer with a thread of its own; ``see`` only puts into a queue, and never waits.

    :param policies: name of an entry or pattern, and occasion (start, success, failure, miss) -> URL; the exact name
        decides, else the first pattern that fits.
    :param tell: takes ``Pinged``.
    :raises ConfigurationError: for a URL that is not http or https.
    """

    def __init__(self, policies: Policies, tell: Callable[[events.Event], None], clock: Clock) -> None:
        for name, urls in policies:
            for url in urls.values():
                _check(name, url)
        self._policies = policies
        self._tell = tell
        self._clock = clock
        self._known: dict[str, Mapping[str, str]] = {}
        self._queue: queue.Queue[tuple[str, str, str]] = queue.Queue(MOST)
        self._thread: threading.Thread | None = None
        self._stopped = False

    def see(self, event: events.Event) -> None:
        """Ping, if the entry wants it on this occasion."""
        match event:
            case events.Dispatched():
                self._ping(event.entry, "start")
            case events.UsedUp() if event.outcome in ("succeeded", "skipped"):  # by a middleware: nothing has failed
                self._ping(event.entry, "success")
            case events.UsedUp():
                self._ping(event.entry, "failure")
            case events.Missed():
                self._ping(event.entry, "miss")
            case _:
                pass

    def stop(self) -> None:
        """Ping no more; returns at once."""
        self._stopped = True

    def _ping(self, entry: str, occasion: str) -> None:
        url = self._urls(entry).get(occasion) if entry else None  # a parked message has no name, and fits no pattern
        if url is None or self._stopped:
            return
        try:
            self._queue.put_nowait((entry, occasion, url))
        except queue.Full:
            self._tell(events.Pinged(entry=entry, occasion=occasion, host=_host(url), result="dropped"))
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pyncette-pings", daemon=True)
            self._thread.start()

    def _urls(self, entry: str) -> Mapping[str, str]:
        known = self._known.get(entry)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            exact = [urls for name, urls in self._policies if name == entry]
            fitting = [urls for name, urls in self._policies if fnmatchcase(entry, name)]
            known = self._known[entry] = next(iter([*exact, *fitting]), {})
        return known

    def _run(self) -> None:
        while not self._stopped:
            entry, occasion, url = self._queue.get()
            error = self._called(url)
            result = "sent" if error is None else "failed"
            self._tell(events.Pinged(entry=entry, occasion=occasion, host=_host(url), result=result, error=error or ""))

    def _called(self, url: str) -> str | None:
        """Call it; the error in words, without the URL. A redirect is an answer like any other, and not followed."""
        try:
            status = _status(url, self._clock)
        except Exception as error:  # noqa: BLE001 - a name that does not resolve, a certificate, a server that babbles
            return type(error).__name__
        return None if 200 <= status < 300 else f"status {status}"


def _status(url: str, clock: Clock) -> int:
    """The status of a GET. :raises TimeoutError, OSError, ValueError: where there is none in time."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    end = clock.monotonic() + PATIENCE
    connection = kind(parts.hostname or "", parts.port, timeout=PATIENCE)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "celery-pyncette", "Connection": "close"})
        said = b""
        while b"\n" not in said and len(said) < _HEAD:
            connection.sock.settimeout(max(0.001, end - clock.monotonic()))
            piece = connection.sock.recv(_HEAD)
            if not piece:
                break
            said += piece
        found = re.match(rb"HTTP/\d\.\d (\d{3})\b", said)
        if found is None:
            raise ValueError("no HTTP")
        return int(found[1])
    finally:
        connection.close()


def _check(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits or not url.isascii():
        raise ConfigurationError(
            f"pyncette_policies[{name!r}]: ping must be a URL that begins with http:// or https://"
        )
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ConfigurationError(
            f"pyncette_policies[{name!r}]: ping must be a URL without blanks or control characters"
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""

"""Wake-ups over a stream of one entry: each listener hears each, and nothing piles up when nobody listens.

``pyncette:{ns:0}/wake`` is a stream of at most one entry. No keyspace events, no pub/sub: a Cluster has one node that
has it, and a Sentinel group's new master is found as for any other command.
"""

from __future__ import annotations

from celery_pyncette.core.errors import StoreError
from celery_pyncette.stores.redis.address import read_url
from celery_pyncette.stores.redis.commands import Command
from celery_pyncette.stores.redis.link import link_to
from celery_pyncette.stores.redis.session import Session
from celery_pyncette.stores.urls import mask


class RedisWakeUps:
    """See ``protocol.WakeUps``."""

    def __init__(self, session: Session, url: str, stream: str, timeout: float) -> None:
        self._session = session
        self._url = url
        self._stream = stream
        self._timeout = timeout

    def wake(self) -> None:
        self._session.ask([Command(self._stream, ("XADD", self._stream, "MAXLEN", 1, "*", "w", ""))])

    def listen(self) -> RedisListener:
        return RedisListener(self._url, self._stream, self._timeout)


class RedisListener:
    """See ``protocol.Listener``."""

    def __init__(self, url: str, stream: str, timeout: float) -> None:
        self._url = url
        self._stream = stream
        self._timeout = timeout
        self._patience = 0.0
        self._session: Session | None = None
        try:
            last = self._open(timeout).ask([Command(stream, ("XREVRANGE", stream, "+", "-", "COUNT", 1))])[0]
        except StoreError:
            self.close()
            raise
        self._last = last[0][0] if last else b"0-0"

    def _open(self, patience: float) -> Session:
        """A session whose reads wait for so long; the server's own wait is shorter."""
        self.close()
        self._patience = patience
        self._session = Session(link_to(read_url(self._url, patience)), mask(self._url))
        return self._session

    def wait(self, seconds: float) -> bool:
        session = self._session
        if session is None or self._patience < seconds + self._timeout:
            session = self._open(seconds + self._timeout)
        milliseconds = max(1, int(seconds * 1000))
        asked = ("XREAD", "COUNT", 1, "BLOCK", milliseconds, "STREAMS", self._stream, self._last)
        answer = session.ask([Command(self._stream, asked)])[0]
        if not answer:
            return False
        streams = answer.items() if isinstance(answer, dict) else answer
        [(_, entries)] = streams
        self._last = (entries[0] if isinstance(entries[0][0], bytes) else entries[0][0])[0]
        return True

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

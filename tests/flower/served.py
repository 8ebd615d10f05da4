"""Flower's own application in a thread of this process, over an app whose store is in memory."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from celery import Celery
from celery.events.state import Task
from flower.app import Flower
from flower.events import EventsState
from flower.options import default_options
from flower.urls import settings
from flower.utils import prepend_url
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

from celery_pyncette.flower import install


@dataclass(frozen=True)
class Said:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Browser:
    """A client of one Flower; ``headers`` go with each request."""

    port: int
    events: Any
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **query: str) -> Said:
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path, None, {})

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> Said:
        kind = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self._ask("POST", path, urllib.parse.urlencode(form), kind)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Said:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, self.prefix + path, body, {**self.headers, **headers})
            with connection.getresponse() as answer:
                return Said(
                    answer.status,
                    {k.lower(): v for k, v in answer.getheaders()},
                    answer.read().decode(errors="replace"),
                )

    def has_seen(self, task_id: str, **fields: Any) -> None:
        """Flower has heard of a task."""
        self.events.state.tasks[task_id] = Task(uuid=task_id, cluster_state=self.events.state, **fields)


def password(said: str) -> dict[str, str]:
    """The header of basic authentication."""
    return {"Authorization": f"Basic {base64.b64encode(said.encode()).decode()}"}


@contextmanager
def served(app: Celery, **options: Any) -> Iterator[Browser]:
    """Flower over an app, with these options of its command line."""
    install()
    given = SimpleNamespace(**{**default_options.as_dict(), **options})
    conf = dict(settings)
    if given.url_prefix:
        conf |= {name: prepend_url(conf[name], given.url_prefix) for name in ("login_url", "static_url_prefix")}
    events = SimpleNamespace(state=EventsState(app))
    started: list[Any] = []
    ready = threading.Event()

    async def serve() -> None:
        application = Flower(capp=app, options=given, events=events, io_loop=IOLoop.current(), **conf)
        server = HTTPServer(application)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        over = asyncio.Event()
        started.append((asyncio.get_running_loop(), over, sockets[0].getsockname()[1]))
        ready.set()
        await over.wait()
        server.stop()
        await server.close_all_connections()
        application.executor.shutdown()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="flower")
    thread.start()
    assert ready.wait(20), "Flower did not start"
    [(loop, over, port)] = started
    prefix = f"/{given.url_prefix.strip('/')}" if given.url_prefix else ""
    try:
        yield Browser(port, events, prefix)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(20)

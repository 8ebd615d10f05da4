"""The beat's own connection: confirmed, bounded in time, and proved before it is used."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from celery_pyncette.beat.broker import Broker
from celery_pyncette.testing import FakeClock


class Connection:
    """Of a transport that is never connected; ``asked`` counts the round trips of its channel."""

    def __init__(self, driver: str, options: dict[str, Any]) -> None:
        self.driver_type = driver
        self.transport = self
        self.transport_options = options
        self.asked = 0
        self.collected = False
        self.dead = False
        self.client = self

    def get_transport_cls(self) -> Connection:
        return self

    def ensure_connection(self, **_: Any) -> Connection:
        return self

    def ping(self) -> None:
        self.asked += 1
        if self.dead:
            raise ConnectionResetError

    def collect(self, socket_timeout: float) -> None:
        self.collected = True


class Producer:
    def __init__(self, connection: Connection, auto_declare: bool) -> None:
        self.channel = connection


class Desk:
    def __init__(self, driver: str = "redis", options: dict[str, Any] | None = None, **conf: Any) -> None:
        self.clock = FakeClock()
        self.connections: list[Connection] = []
        self.app = Celery("app", broker="memory://", set_as_current=False)
        self.app.conf.update(conf)

        def connection(*_: Any, **__: Any) -> Connection:
            self.connections.append(Connection(driver, dict(options or {})))
            return self.connections[-1]

        self.app.connection_for_write = connection  # type: ignore[method-assign]
        self.broker = Broker(self.app, Producer, self.clock)  # type: ignore[arg-type]
        assert self.broker.ready()

    @property
    def connection(self) -> Connection:
        return self.connections[-1]


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("amqp", {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10}),
        ("redis", {"socket_timeout": 10, "socket_connect_timeout": 5}),
        ("filesystem", {}),
    ],
)
def test_publishes_are_confirmed_and_no_call_waits_for_ever(driver: str, expected: dict[str, Any]):
    assert Desk(driver).connection.transport_options == expected


def test_what_the_application_says_itself_stays():
    options = Desk("amqp", {"confirm_publish": False, "read_timeout": 3}).connection.transport_options
    assert options == {"confirm_publish": False, "read_timeout": 3, "write_timeout": 10}


def test_a_connection_is_asked_before_it_is_used_unless_it_has_just_answered():
    """At most once is used up before it is sent: over a dead connection it would be lost."""
    desk = Desk()
    desk.clock.advance(0.05)
    assert desk.broker.ready()
    assert desk.connection.asked == 0
    desk.clock.advance(0.1)
    assert desk.broker.ready()
    assert desk.connection.asked == 1
    desk.clock.advance(0.2)
    desk.connection.dead = True
    assert desk.broker.ready(), "it connects again"
    assert len(desk.connections) == 2
    assert desk.connections[0].collected


def test_a_broker_that_is_away_is_asked_once_a_second(monkeypatch: pytest.MonkeyPatch):
    desk = Desk()
    attempts: list[float] = []

    def refuse() -> None:
        attempts.append(desk.clock.monotonic())
        raise ConnectionRefusedError

    monkeypatch.setattr(desk.app, "connection_for_write", refuse)
    desk.broker.drop()
    for _ in range(12):
        assert not desk.broker.ready()
        desk.clock.advance(0.25)
    assert len(attempts) == 3


def test_a_queue_is_declared_once_for_a_connection():
    desk = Desk()
    options = {"queue": "q"}
    assert not desk.broker.declared("t", options)
    desk.broker.sent("t", options)
    assert desk.broker.declared("t", options)
    assert not desk.broker.declared("t", {"queue": "other"})
    assert not desk.broker.declared("t", {"queue": "q", "declare": []})
    desk.broker.drop()
    assert not desk.broker.declared("t", options), "the broker may have been restarted without it"


@pytest.mark.parametrize(
    ("routes", "known"),
    [(None, True), ({"t": {"queue": "q"}}, True), ([{"t": {"queue": "q"}}], True), (lambda *_: None, False)],
)
def test_where_a_function_routes_nothing_is_taken_for_declared(routes: Any, known: bool):
    desk = Desk(task_routes=routes)
    desk.broker.sent("t", {})
    assert desk.broker.declared("t", {}) is known

"""What the publisher says became of each message when something cuts a batch short."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.beat import SchedulingError
from celery.exceptions import QueueNotFound
from celery.result import task_join_will_block
from kombu.exceptions import EncodeError, OperationalError

from celery_pyncette.beat.broker import Broker
from celery_pyncette.beat.celery_publisher import CeleryPublisher
from celery_pyncette.clock import SystemClock
from celery_pyncette.core.plans import Receipt, Sent
from celery_pyncette.core.records import Lane
from celery_pyncette.testing import FakeClock


class FakeBroker:
    """Connected, until it is dropped; connects again if `reconnects`."""

    def __init__(self, *, pipelines: bool = False, reconnects: bool = True) -> None:
        self.pipelines = pipelines
        self.reconnects = reconnects
        self.dropped = 0
        self.attempts = 0
        self.in_batch = False
        self.flush: Callable[[], None] = lambda: None
        self.producer: Any = self

    def ready(self) -> bool:
        if self.producer is None:
            self.attempts += 1
            self.producer = self if self.reconnects else None
        return self.producer is not None

    def drop(self) -> None:
        self.dropped += 1
        self.producer = None

    def sent(self, task: str, options: object) -> None: ...

    def connection_errors(self) -> tuple[type[BaseException], ...]:
        return ()

    @contextmanager
    def batch(self, max_size: int):
        yield
        self.flush()


class Outbox:
    """Celery's scheduler as the publisher uses it: `does` is called with the number of each message."""

    def __init__(self, broker: FakeBroker, does: Callable[[int], None] = lambda number: None) -> None:
        self.begun = 0
        self.does = does
        entry = SimpleNamespace(task="t", options={})
        clock: Any = FakeClock()
        self.watched = False
        self.publisher = CeleryPublisher(
            self,
            broker,  # type: ignore[arg-type]
            clock,
            "beat",
            lambda message: entry,  # type: ignore[arg-type, return-value]
            lambda message: self.watched,
        )

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.begun += 1
        try:
            self.does(self.begun)
        except Exception as error:
            self.publisher.failed(error)

    def send(self, count: int) -> list[Receipt]:
        receipts: list[Receipt] = []
        record = SimpleNamespace(lane=Lane.ENTRIES)
        messages: Any = [
            SimpleNamespace(record=record, ticket=SimpleNamespace(task_id=f"id-{n}")) for n in range(1, count + 1)
        ]
        try:
            self.publisher.send_batch(messages, receipts)
        finally:
            self.receipts = receipts
        return receipts


def fates(receipts: list[Receipt]) -> list[Sent]:
    return [receipt.sent for receipt in receipts]


def raising(error: BaseException, at: int) -> Callable[[int], None]:
    def does(number: int) -> None:
        if number == at:
            raise error

    return does


def test_a_batch_goes_on_over_a_new_connection_when_one_answer_is_lost():
    broker = FakeBroker()
    outbox = Outbox(broker, raising(OperationalError("closed"), 2))
    assert fates(outbox.send(4)) == [Sent.SENT, Sent.UNSURE, Sent.SENT, Sent.SENT]
    assert (broker.dropped, broker.attempts) == (1, 1)


def test_it_connects_again_once_and_no_more_in_a_batch():
    broker = FakeBroker(reconnects=False)
    outbox = Outbox(broker, raising(OperationalError("closed"), 2))
    assert fates(outbox.send(4)) == [Sent.SENT, Sent.UNSURE, Sent.FAILED, Sent.FAILED]
    assert broker.attempts == 1


def test_a_message_that_cannot_be_built_costs_the_others_nothing():
    broker = FakeBroker()
    outbox = Outbox(broker, raising(EncodeError("no"), 2))
    assert fates(outbox.send(3)) == [Sent.SENT, Sent.UNBUILDABLE, Sent.SENT]
    assert broker.dropped == 0


@pytest.mark.parametrize(
    ("error", "fate", "dropped"),
    [
        (EncodeError("a set"), Sent.UNBUILDABLE, 0),
        (TypeError("missing argument"), Sent.UNBUILDABLE, 0),
        (ValueError("priority"), Sent.UNBUILDABLE, 0),
        (QueueNotFound("no queue"), Sent.UNBUILDABLE, 0),
        (ConnectionRefusedError("refused"), Sent.FAILED, 1),
        (OperationalError("closed"), Sent.UNSURE, 1),
        (TimeoutError("no answer"), Sent.UNSURE, 1),
        (ConnectionResetError("reset"), Sent.UNSURE, 1),
        (RuntimeError("a bug"), Sent.FAILED, 0),
    ],
    ids=repr,
)
def test_what_an_error_says_of_its_message(error: Exception, fate: Sent, dropped: int):
    """At most once, UNSURE counts as sent and FAILED is put back: what may have arrived must not be FAILED."""
    broker = FakeBroker()
    assert fates(Outbox(broker, _wrapped(error)).send(1)) == [fate]
    assert broker.dropped == dropped


def _wrapped(error: Exception) -> Callable[[int], None]:
    """As Celery's scheduler raises it."""

    def does(number: int) -> None:
        raise SchedulingError("couldn't apply scheduled task") from error

    return does


def test_a_refusal_behind_another_error_is_one():
    outbox = Outbox(FakeBroker())

    def does(number: int) -> None:
        try:
            raise ConnectionRefusedError
        except ConnectionRefusedError as refused:
            raise OperationalError("cannot connect") from refused

    outbox.does = does
    assert fates(outbox.send(1)) == [Sent.FAILED]


def test_no_result_backend_subscribes_to_what_a_beat_sends():
    waits: list[bool] = []
    Outbox(FakeBroker(), lambda number: waits.append(task_join_will_block())).send(1)
    assert waits == [True]


def test_stopped_between_messages_what_was_begun_is_unsure_and_the_rest_is_not_sent():
    outbox = Outbox(FakeBroker(), raising(SystemExit(), 2))
    with pytest.raises(SystemExit):
        outbox.send(4)
    assert fates(outbox.receipts) == [Sent.SENT, Sent.UNSURE, Sent.FAILED, Sent.FAILED]
    assert [receipt.task_id for receipt in outbox.receipts] == ["id-1", "id-2", "id-3", "id-4"]


def test_stopped_while_a_pipeline_is_filled_nothing_was_sent():
    outbox = Outbox(FakeBroker(pipelines=True), raising(SystemExit(), 3))
    with pytest.raises(SystemExit):
        outbox.send(4)
    assert fates(outbox.receipts) == [Sent.FAILED] * 4


def test_stopped_while_a_pipeline_is_flushed_all_of_it_is_unsure():
    broker = FakeBroker(pipelines=True)
    broker.flush = lambda: raising(SystemExit(), 0)(0)
    outbox = Outbox(broker)
    with pytest.raises(SystemExit):
        outbox.send(3)
    assert fates(outbox.receipts) == [Sent.UNSURE] * 3


def test_a_pipeline_whose_answer_is_lost_is_unsure_as_a_whole():
    broker = FakeBroker(pipelines=True)
    broker.flush = lambda: raising(OperationalError("closed"), 0)(0)
    assert fates(Outbox(broker).send(3)) == [Sent.UNSURE] * 3
    assert broker.dropped == 1


def test_a_connection_that_is_dropped_is_closed():
    app = Celery("app", broker="memory://", set_as_current=False)
    broker = Broker(app, app.amqp.Producer, SystemClock())
    assert broker.ready()
    connection = broker.producer.channel.connection.client
    assert connection.connected
    broker.drop()
    assert not connection.connected
    assert broker.producer is None


def test_a_broker_that_stays_away_is_warned_of_once(caplog: pytest.LogCaptureFixture):
    clock = FakeClock()
    app = Celery("app", broker="redis://127.0.0.1:1/0", set_as_current=False)
    broker = Broker(app, app.amqp.Producer, clock)  # type: ignore[arg-type]
    with caplog.at_level("DEBUG", "celery_pyncette.beat.broker"):
        for _ in range(3):
            assert not broker.ready()
            clock.advance(1.1)
    said = [record.levelname for record in caplog.records if "broker_unreachable" in record.message]
    assert said == ["WARNING", "DEBUG", "DEBUG"]


def test_what_a_middleware_is_around_is_sent_singly_so_that_it_learns_what_became_of_it():
    broker = FakeBroker(pipelines=True)
    broker.flush = lambda: (_ for _ in ()).throw(OperationalError("closed"))
    outbox = Outbox(broker)
    assert fates(outbox.send(2)) == [Sent.UNSURE, Sent.UNSURE]
    outbox.watched = True
    assert fates(outbox.send(2)) == [Sent.SENT, Sent.SENT]

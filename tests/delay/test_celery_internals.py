"""What ``delay/celery_internals.py`` relies on in Celery and kombu: a release that changes it fails here by name."""

from __future__ import annotations

import inspect
import pickle
from datetime import datetime, timedelta, timezone

import pytest
from celery import Celery
from celery.app.control import Control
from celery.app.task import Task
from kombu import Producer

from celery_pyncette.delay import celery_internals as internals
from celery_pyncette.delay.revoke import control_of
from tests.delay.post import Post

SENDS_BY_APP = "app.send_task("


def test_every_task_is_sent_through_send_task_and_its_sender():
    source = inspect.getsource(Celery.send_task)
    assert source.count(f"amqp.{internals.SENDER}(") == 1
    assert "countdown, eta" in source, "the message is made of both"
    assert SENDS_BY_APP in inspect.getsource(Task.apply_async)


def test_send_task_takes_countdown_and_eta_in_the_places_that_the_interceptor_thinks():
    names = list(inspect.signature(Celery.send_task).parameters)
    assert names[:6] == ["self", "name", "args", "kwargs", "countdown", "eta"]


def test_the_sender_hands_headers_and_body_to_a_producer_that_is_given(post: Post):
    class Given:
        connection = None

        def publish(self, body: object, **given: object) -> None:
            calls.append({"body": body, **given})

    calls: list[dict[str, object]] = []

    message = post.app.amqp.create_task_message("id", "proj.add", (1,), {}, retries=3)
    post.app.amqp.send_task_message(Given(), "proj.add", message, priority=5)
    (call,) = calls
    assert isinstance(call["headers"], dict)
    assert (call["headers"]["id"], call["headers"]["retries"], call["headers"]["eta"]) == ("id", 3, None)
    assert call["body"][0] == (1,)  # type: ignore[index]
    assert {"exchange", "routing_key", "declare", "delivery_mode", "serializer", "compression", "priority"} <= set(call)


def test_what_a_producer_would_send_can_be_asked_of_it(post: Post):
    with post.app.connection_for_write() as connection:
        producer = Producer(connection, auto_declare=False, serializer="pickle", compression="zlib")
        headers: dict[str, object] = {}
        sending: dict[str, object] = {}
        body, content_type, content_encoding = internals.serialised(producer, {1, 2}, sending, headers)
        assert (content_type, content_encoding) == ("application/x-python-serialize", "binary")
        assert headers["compression"] == "application/x-gzip"
        import zlib

        assert pickle.loads(zlib.decompress(body)) == {1, 2}
        sending = {"serializer": "json", "compression": None, "priority": 1}
        body, content_type, _ = internals.serialised(Producer(connection), ["ü"], sending, {})
        assert (body, content_type, sending) == (b'["\\u00fc"]', "application/json", {"priority": 1})


def test_a_pooled_producer_knows_its_pool(post: Post):
    with post.app.producer_or_acquire() as producer:
        assert internals.is_of_pool(post.app, producer)
    with post.app.connection_for_write() as connection:
        assert not internals.is_of_pool(post.app, Producer(connection))


def test_times_are_read_as_a_worker_reads_them(post: Post):
    moment = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
    post.app.conf.timezone = "Asia/Tokyo"
    for given in (
        moment,
        moment.isoformat(),
        moment.replace(tzinfo=None),
        moment.astimezone(timezone(timedelta(hours=3))),
    ):
        assert internals.moment_of(post.app, given) == moment


def test_an_app_makes_its_control_of_what_it_is_told():
    app = Celery("x", broker="memory://", set_as_current=False)
    assert app.control_cls == internals.STOCK_CONTROL
    app.control_cls = control_of
    assert isinstance(app.control, Control)


@pytest.mark.parametrize("method", ["revoke", "revoke_by_stamped_headers"])
def test_revoking_is_a_broadcast(method: str):
    assert f"self.broadcast('{method}'" in inspect.getsource(getattr(Control, method))


def test_every_app_that_is_finalized_is_told():
    seen = []
    internals.when_an_app_is_finalized(seen.append)
    app = Celery("another", broker="memory://", set_as_current=False)
    app.finalize()
    assert app in seen

"""A message that was parked and released is the message that would have been sent at once, to the byte."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from kombu import Exchange, Queue

from celery_pyncette.core.plans import Sent
from tests.delay.post import Post, bare

CALLS: dict[str, Callable[[Post], dict[str, Any]]] = {
    "plain": lambda post: {"args": (1, 2)},
    "kwargs": lambda post: {"args": (1,), "kwargs": {"y": "ü"}},
    "priority": lambda post: {"args": (1,), "priority": 7},
    "transient": lambda post: {"args": (1,), "delivery_mode": "transient"},
    "links": lambda post: {"args": (1,), "link": post.add.s(4), "link_error": post.add.si(0)},
    "headers": lambda post: {"args": (1,), "headers": {"tenant": "a", "nested": {"x": [1, None]}}},
    "pickle and zlib": lambda post: {"args": ({1, 2}, b"\x00\xff"), "serializer": "pickle", "compression": "zlib"},
    "shadow": lambda post: {"args": (1,), "shadow": "another name", "time_limit": 9, "soft_time_limit": 8},
    "large": lambda post: {"args": ("word " * 5000,)},
    "ignored": lambda post: {"args": (1,), "ignore_result": True},
    "stamped": lambda post: {"args": (1,), "stamped_headers": ["visit"], "visit": "v1"},
    "queue": lambda post: {"args": (1,), "queue": Queue(post.queue, Exchange(post.queue, "topic"), routing_key="a.b")},
}


@pytest.mark.parametrize("kind", CALLS)
def test_it_is_the_message_that_would_have_been_sent_at_once(post: Post, kind: str):
    call = {"task_id": "an-id", "reply_to": "somebody", **CALLS[kind](post)}
    post.add.apply_async(**call)
    (at_once,) = post.waiting()
    result = post.add.apply_async(countdown=60, **call)
    assert result.id == "an-id"
    assert post.waiting() == []
    (receipt,) = post.release()
    assert (receipt.sent, receipt.task_id) == (Sent.SENT, "an-id"), receipt
    (released,) = post.waiting()
    assert bare(released) == bare(at_once)


def test_by_name_and_to_another_queue(post: Post):
    other = f"other-{post.name}"
    for options in ({}, {"countdown": 60}):
        post.app.send_task("elsewhere.task", args=[1], task_id="x", queue=other, reply_to="r", **options)
    (at_once,) = post.waiting(other)
    post.release()
    (released,) = post.waiting(other)
    assert bare(released) == bare(at_once)
    assert post.waiting() == []


def test_expiry_is_kept_and_counts_from_the_release(post: Post):
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    post.add.apply_async((1,), eta=datetime.now(timezone.utc) + timedelta(minutes=1), expires=until)
    (record,) = post.parked()
    assert record.spec.end == int(until.timestamp() * 1000)
    before = datetime.now(timezone.utc)
    post.release()
    after = datetime.now(timezone.utc)
    (message,) = post.waiting()
    assert message["headers"]["expires"] == until.isoformat()
    assert message["headers"]["eta"] is None
    left = timedelta(milliseconds=int(message["properties"]["expiration"]))
    assert until - after - timedelta(milliseconds=2) <= left <= until - before + timedelta(milliseconds=2)


def test_several_go_out_in_order_with_their_own_ids(post: Post):
    ids = [post.add.apply_async((number,), countdown=60 + number).id for number in range(20)]
    receipts = post.release()
    assert sorted(receipt.task_id for receipt in receipts) == sorted(ids)
    assert len(post.waiting()) == 20


@pytest.mark.parametrize(
    "body",
    [
        b"\x07what is this",
        b"\x01\0\0\0\x04what is this",
        b"\x02\0\0\0\x01\0\0\0\0\x02what",
        b"\x01\0\0\0\x07" + zlib.compress(b"[]")[2:-4] + b"[]",
    ],
    ids=["of no format", "not deflated", "body not deflated", "no message"],
)
def test_a_record_that_holds_no_message_can_never_be_sent(post: Post, body: bytes):
    """And is not tried again and again."""
    post.add.apply_async((1,), countdown=60)
    (record,) = post.parked()
    post.parked = lambda: [replace(record, body=body), record]  # type: ignore[method-assign]
    receipts = post.release()
    assert [receipt.sent for receipt in receipts] == [Sent.UNBUILDABLE, Sent.SENT]
    assert len(post.waiting()) == 1

"""Parked messages in every store: bytes stay bytes, and every call means the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from celery_pyncette import delayed
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.plans import Sent
from celery_pyncette.core.records import Lane
from celery_pyncette.stores.protocol import ClaimRequest
from tests.delay.post import Post, bare


def test_parked_seen_moved_claimed_released_removed(posts: Callable[..., Post], store_url: str):
    own = {} if store_url == "memory://" else {"pyncette_store_url": store_url}
    post = posts(**own)
    odd = {
        "task_id": "ünï:1",
        "serializer": "pickle",
        "compression": "zlib",
        "reply_to": "r",
        "headers": {"ß": ["\x00"]},
    }
    post.add.apply_async((b"\x00\xff", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")), **odd)
    (at_once,) = post.waiting()
    post.add.apply_async((b"\x00\xff", "😀"), countdown=900, **odd)
    for number in range(30):
        post.add.apply_async((number,), countdown=600 + number, task_id=f"n{number:02}")
    store = desk_of(post.app).store
    assert delayed.count_delayed(app=post.app).total == 31
    assert delayed.move_delayed("ünï:1", timedelta(seconds=-1), app=post.app) is not None
    assert delayed.move_delayed("n07", timedelta(seconds=-2), app=post.app) is not None
    batch = store.claim(ClaimRequest(owner="a beat", lane=Lane.DELAYED, limit=10, lease_ms=60_000))
    assert [record.key for record in batch.records] == ["e:n07:0", "e:ünï:1:0"], "oldest first"
    post.parked = lambda: [batch.records[1]]  # type: ignore[method-assign]
    assert [receipt.sent for receipt in post.release()] == [Sent.SENT]
    assert [bare(message) for message in post.waiting()] == [bare(at_once)]
    assert delayed.cancel_delayed("n07", app=post.app) is False, "a beat has it"
    assert delayed.cancel_delayed("n08", app=post.app) is True
    assert delayed.purge_delayed(app=post.app) == 29
    assert delayed.list_delayed(app=post.app).messages == ()
    assert store.claim(ClaimRequest(owner="b", lane=Lane.DELAYED, limit=10, lease_ms=1)).records == ()

"""Seeing, cancelling, moving, counting and revoking what is parked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from celery import chord

from celery_pyncette import delayed
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import InvalidEntry, StoreUnavailable
from celery_pyncette.core.instants import datetime_of
from celery_pyncette.core.records import Lane, Write
from celery_pyncette.stores.protocol import ClaimRequest, Verdict
from celery_pyncette.stores.writes import change_of, write_as_holder
from tests.delay.post import Post


def claimed(post: Post) -> None:
    """A beat takes everything that is due."""
    desk_of(post.app).store.claim(ClaimRequest(owner="a beat", lane=Lane.DELAYED, limit=10, lease_ms=60_000))


def test_what_is_parked_can_be_seen(post: Post):
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=2)
    before = datetime.now(timezone.utc)
    result = post.add.apply_async((1,), {"y": 5}, countdown=60, priority=4, expires=expires)
    after = datetime.now(timezone.utc)
    state = delayed.get_delayed(result.id, app=post.app)
    assert state is not None
    assert (state.task, state.queue, state.args, state.kwargs) == ("proj.add", post.queue, "(1,)", "{'y': 5}")
    assert (state.priority, state.retries, state.expires, state.state) == (4, 0, expires, "waiting")
    minute, rounding = timedelta(seconds=60), timedelta(milliseconds=1)
    assert before + minute - rounding <= state.eta <= after + minute + rounding
    assert delayed.get_delayed("another", app=post.app) is None


def test_an_id_that_begins_like_another_is_another(post: Post):
    post.add.apply_async((1,), countdown=60, task_id="a:1")
    assert delayed.get_delayed("a", app=post.app) is None
    assert not delayed.cancel_delayed("a", app=post.app)
    assert delayed.get_delayed("a:1", app=post.app) is not None


def test_a_listing_goes_on_page_by_page(post: Post):
    ids = {post.add.apply_async((number,), countdown=60).id for number in range(25)}
    post.app.send_task("other.task", queue="other", countdown=60)
    seen, cursor, pages = [], None, 0
    while True:
        page = delayed.list_delayed(task="proj.add", limit=10, cursor=cursor, app=post.app)
        seen += [message.task_id for message in page.messages]
        cursor, pages = page.cursor, pages + 1
        if cursor is None:
            break
    assert sorted(seen) == sorted(ids)
    assert pages == 3
    (other,) = delayed.list_delayed(queue="other", app=post.app).messages
    assert other.task == "other.task"
    with pytest.raises(InvalidEntry, match="limit"):
        delayed.list_delayed(limit=0, app=post.app)


def test_counts_by_queue_and_task(post: Post):
    for number in range(3):
        post.add.apply_async((number,), countdown=60 + number)
    post.app.send_task("other.task", queue="other", countdown=600)
    counts = delayed.count_delayed(app=post.app)
    assert (counts.total, counts.due) == (4, 0)
    assert counts.by_queue == {post.queue: 3, "other": 1}
    assert counts.by_task == {"proj.add": 3, "other.task": 1}
    assert counts.first == min(datetime_of(record.due_at) for record in post.parked())


def test_a_record_that_cannot_be_read_costs_only_itself(post: Post):
    post.add.apply_async((1,), countdown=60)
    post.add.apply_async((2,), countdown=60)
    record = post.parked()[0]
    desk_of(post.app).store.apply([change_of(record.key, record, Write(record=replace(record, body=b"?")))])
    page = delayed.list_delayed(app=post.app)
    assert (len(page.messages), page.unreadable) == (1, (record.key,))
    assert delayed.count_delayed(app=post.app).total == 1


def test_cancelled_it_is_gone(post: Post):
    result = post.add.apply_async((1,), countdown=60)
    assert delayed.cancel_delayed(result.id, app=post.app) is True
    assert delayed.cancel_delayed(result.id, app=post.app) is False
    assert post.parked() == []
    assert result.state == "PENDING"


def test_what_a_beat_is_sending_is_cancelled_without_a_promise(post: Post):
    result = post.add.apply_async((1,), countdown=60)
    delayed.move_delayed(result.id, timedelta(0), app=post.app)
    claimed(post)
    assert delayed.move_delayed(result.id, timedelta(hours=1), app=post.app) is None
    assert delayed.cancel_delayed(result.id, app=post.app) is False
    assert post.parked() == []


def test_moved_it_is_due_then(post: Post):
    result = post.add.apply_async((1,), countdown=60)
    at = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
    state = delayed.move_delayed(result.id, at, app=post.app)
    assert state is not None
    assert state.eta == at
    assert datetime_of(post.parked()[0].ready_at) == at
    sooner = delayed.move_delayed(result.id, timedelta(seconds=-5), app=post.app)
    assert sooner is not None
    assert sooner.state == "due"
    assert delayed.move_delayed("another", timedelta(0), app=post.app) is None


@pytest.mark.parametrize("eta", [datetime(2030, 1, 1), 5, None])
def test_an_eta_that_says_nothing_is_refused(post: Post, eta: object):
    with pytest.raises(InvalidEntry, match="eta"):
        delayed.move_delayed("x", eta, app=post.app)  # type: ignore[arg-type]


def test_revoking_takes_it_out_and_says_so(post: Post):
    result = post.add.apply_async((1,), countdown=60)
    other = post.add.apply_async((1,), countdown=60)
    third = post.add.apply_async((1,), countdown=60)
    result.revoke()
    assert result.state == "REVOKED"
    assert [record.key for record in post.parked()] == sorted(f"e:{one.id}:0" for one in (other, third))
    post.app.control.revoke([other.id, third.id, "unknown"])
    assert (other.state, third.state) == ("REVOKED", "REVOKED")
    assert post.parked() == []


def test_whatever_sends_the_command_revokes(post: Post):
    """``celery control revoke`` and Flower broadcast it themselves."""
    result = post.add.apply_async((1,), countdown=60)
    post.app.control.broadcast("revoke", arguments={"task_id": [result.id], "terminate": False})
    assert result.state == "REVOKED"


def test_a_result_that_nobody_wants_is_not_stored(post: Post):
    result = post.add.apply_async((1,), countdown=60, ignore_result=True)
    post.app.control.revoke(result.id)
    assert (result.state, post.parked()) == ("PENDING", [])


def test_a_chord_hears_of_a_revoked_member(post: Post, monkeypatch):
    told = []
    backend = type(post.app.backend)
    monkeypatch.setattr(backend, "on_chord_part_return", lambda self, request, state, error: told.append(request.chord))
    chord([post.add.s(1, 2), post.add.s(3, 4)], post.add.si(9)).apply_async(countdown=60)
    member = next(record for record in post.parked() if record.spec.task == "proj.add")
    post.app.control.revoke(delayed.identity(member.key)[0])
    assert [signature["task"] for signature in told] == ["proj.add"]


def test_by_stamps(post: Post):
    kept = post.add.apply_async((1,), countdown=60, stamped_headers=["visit"], visit="a")
    gone = post.add.apply_async((1,), countdown=60, stamped_headers=["visit"], visit="b")
    plain = post.add.apply_async((1,), countdown=60)
    post.app.control.revoke_by_stamped_headers({"visit": ["b", "c"]})
    assert (kept.state, gone.state, plain.state) == ("PENDING", "REVOKED", "PENDING")
    assert len(post.parked()) == 2


def test_the_workers_hear_of_it_although_the_store_is_away(posts: Callable[..., Post], monkeypatch):
    post = posts(pyncette_store_timeout=0.1)
    heard = []
    monkeypatch.setattr(post.app.control.mailbox, "_broadcast", lambda command, *a, **k: heard.append(command))

    def fail(*args: object) -> None:
        raise StoreUnavailable("it is away")

    desk_of(post.app).store.store.scan = fail  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable):
        post.app.control.revoke("some-id")
    assert heard == ["revoke"]


def test_without_the_delay_queue_no_store_is_asked(posts: Callable[..., Post]):
    post = posts(pyncette_delay_queue=False, pyncette_store_url=None, founded=False)
    post.app.control.revoke("some-id")


def test_an_edit_by_a_record_that_was_parked_again_does_not_hold_the_beat(post: Post):
    """The beat that sends the old one must not write over the new one."""
    post.add.apply_async((1,), countdown=60, task_id="one")
    delayed.move_delayed("one", timedelta(0), app=post.app)
    claimed(post)
    (old,) = post.parked()
    post.add.apply_async((2,), countdown=60, task_id="one")
    (new,) = post.parked()
    assert new.lease is None
    change = change_of(old.key, old, Write(record=None))
    assert desk_of(post.app).store.apply([change]).written[0].verdict is Verdict.STALE
    (answer,) = write_as_holder(desk_of(post.app).store, [(old, lambda stored, now: Write(record=None))])
    assert answer.verdict is Verdict.STALE
    assert post.parked() == [new], "what was parked last is sent too"

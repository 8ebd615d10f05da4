"""``pyncette_policy=`` on a call: a parked message that is followed until its task has run, or succeeded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from kombu import Connection, Producer

from celery_pyncette import OnFailure, Policy, delayed
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import CorruptRecord, InvalidEntry, StoreUnavailable
from celery_pyncette.core.instants import NEVER, Instant, datetime_of
from celery_pyncette.core.lifecycle import plan
from celery_pyncette.core.policies import CatchUp, Rules
from celery_pyncette.core.records import Lease, Occurrence, Outcome, Record, Run, Write
from celery_pyncette.core.taking import OneTime
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.parking import identity, meaning_of, unpack
from celery_pyncette.engine.results import asked_about
from celery_pyncette.engine.tickets import outgoing
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.stores.writes import change_of
from tests.delay.post import Post

AWARE: dict[str, Any] = {"result_aware": True}
RETRY: dict[str, Any] = {"result_aware": True, "on_failure": "retry", "max_attempts": 3}


def meaning(post: Post, record: Record) -> Meaning:
    """As a beat reads it."""
    found = StaticDefinitions(post.app, desk_of(post.app).settings, {}).meaning(record)
    assert found is not None
    return found


def begun(post: Post, **fields: Any) -> Record:
    """Write a run that has started into the record; a worker has it for a minute."""
    (record,) = post.parked()
    now = desk_of(post.app).store.now()
    run = Run(due_at=record.due_at, generation=record.generation, starts=1, started_at=now, **fields)
    lease = Lease(owner="a worker", until=Instant(now + 60_000))
    after = replace(record, run=run, lease=lease, due_at=Instant(record.due_at + 10**12))
    desk_of(post.app).store.apply([change_of(record.key, record, Write(record=after))])
    (record,) = post.parked()
    return record


@pytest.mark.parametrize("policy", [RETRY, Policy(**RETRY)], ids=["dict", "Policy"])
def test_it_is_kept_beside_the_message_and_never_in_it(post: Post, policy: object):
    post.add.apply_async((1,), countdown=60, pyncette_policy=policy)
    (record,) = post.parked()
    assert record.spec.policy == Policy(**RETRY)
    message = unpack(record.body or b"")
    assert "pyncette_policy" not in {*message.headers, *message.sending}
    rules = meaning(post, record).rules
    assert (rules.aware, rules.on_failure, rules.max_attempts) == (True, OnFailure.RETRY, 3)
    assert (rules.gated, rules.recent_runs) == (True, 0)


def test_settings_of_entries_make_no_other_message_result_aware(posts: Callable[..., Post]):
    post = posts(pyncette_result_aware=True, pyncette_max_attempts=9)
    post.add.apply_async((1,), countdown=60)
    post.add.apply_async((1,), countdown=60, pyncette_policy=AWARE)
    told = {record.spec.policy is None: meaning(post, record).rules for record in post.parked()}
    assert not told[True].aware
    assert (told[False].aware, told[False].max_attempts) == (True, 9)


@pytest.mark.parametrize("delay", [{}, {"countdown": 2}, {"countdown": -5}], ids=["at once", "short", "passed"])
def test_it_is_parked_whatever_the_delay(post: Post, delay: dict[str, Any]):
    before = datetime.now(timezone.utc)
    result = post.add.apply_async((1,), **delay, pyncette_policy=AWARE)
    assert post.waiting() == []
    (record,) = post.parked()
    assert delayed.get_delayed(result.id, app=post.app) is not None
    due = before + timedelta(seconds=delay.get("countdown", 0))
    assert timedelta(milliseconds=-1) <= datetime_of(record.due_at) - due <= datetime.now(timezone.utc) - before
    assert record.created_at > 0


def test_no_policy_is_none(post: Post):
    post.add.apply_async((1,), pyncette_policy=None)
    post.add.apply_async((1,), pyncette_policy={})
    assert post.parked() == []
    for message in post.waiting():
        assert "pyncette_policy" not in str(message)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"on_failur": "retry"}, "pyncette_policy.on_failur.*did you mean 'on_failure'"),
        ({"on_failure": "never"}, "on_failure"),
        ({"on_failure": "retry"}, "needs result_aware=True"),
        ({**RETRY, "delivery": "at_most_once"}, "contradicts at_most_once"),
        ({**AWARE, "ping": {"start": "http://x"}}, "pyncette_policies only"),
        ("retry", "must be a Policy or a dict"),
    ],
)
def test_nonsense_is_refused_where_the_caller_is(post: Post, policy: Any, said: str):
    with pytest.raises(InvalidEntry, match=said):
        post.add.apply_async((1,), countdown=60, pyncette_policy=policy)
    assert (post.parked(), post.waiting()) == ([], [])


@pytest.mark.parametrize("conf", [{"pyncette_delay_queue": False}, {"task_protocol": 1}], ids=["off", "protocol 1"])
def test_without_a_delay_queue_nobody_could_follow_it(posts: Callable[..., Post], conf: dict[str, Any]):
    post = posts(**conf)
    with pytest.raises(InvalidEntry, match="needs pyncette_delay_queue = True"):
        post.add.apply_async((1,), pyncette_policy=AWARE)
    assert post.waiting() == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"args": (" " * 3000,)}, "pyncette_max_payload"),
        ({"retries": 1}, "a retry belongs to the run of its task"),
        ({"task_id": "x" * 256}, "255 characters"),
        ({"eta": "tomorrow"}, "an ETA that can be read"),
    ],
    ids=["size", "retry", "id", "eta"],
)
def test_what_cannot_be_parked_is_refused_and_never_just_sent(
    posts: Callable[..., Post], call: dict[str, Any], said: str
):
    post = posts(pyncette_max_payload=2000)
    with pytest.raises(InvalidEntry, match=said):
        post.add.apply_async(**{"args": (1,), **call}, pyncette_policy=AWARE)
    assert (post.parked(), post.waiting()) == ([], [])


def test_nor_is_what_another_broker_would_have(post: Post):
    with Connection("memory://elsewhere") as connection, pytest.raises(InvalidEntry, match="the app's own broker"):
        post.add.apply_async((1,), producer=Producer(connection), pyncette_policy=AWARE)


def test_nor_is_it_sent_while_the_store_is_away(posts: Callable[..., Post]):
    post = posts(pyncette_store_timeout=0.1, pyncette_delay_on_store_error="broker")

    def fail(*args: object) -> None:
        raise StoreUnavailable("it is away")

    desk_of(post.app).store.store.apply = fail  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable):
        post.add.apply_async((1,), countdown=60, pyncette_policy=AWARE)
    assert post.waiting() == []


def test_eager_it_runs_at_once(posts: Callable[..., Post]):
    post = posts(task_always_eager=True)
    assert post.add.apply_async((1, 2), pyncette_policy=AWARE).get() == 3


def test_a_hard_time_limit_bounds_the_run(post: Post):
    post.add.apply_async((1,), pyncette_policy=AWARE, time_limit=100)
    (record,) = post.parked()
    assert meaning(post, record).rules.max_run == 100_000
    with pytest.raises(InvalidEntry, match="hard time limit"):
        post.add.apply_async((1,), pyncette_policy={**AWARE, "max_run": 50}, time_limit=100)


def test_its_ticket_has_the_id_that_the_caller_knows_at_each_attempt(post: Post):
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)
    result = post.add.apply_async((1,), pyncette_policy=AWARE, expires=expires, headers={"mine": 1})
    (record,) = post.parked()
    rules = meaning(post, record)
    planned = plan(record, Instant(record.due_at + 1), rules.times, rules.rules)
    assert planned.first is not None
    assert planned.first.record is not None
    run = planned.first.record.run
    assert run is not None
    for attempt, until in ((1, expires + timedelta(minutes=1)), (2, None)):
        again = replace(run, attempt=attempt, starts=attempt - 1)
        stored = replace(planned.first.record, run=again)
        occurrence = Occurrence(key=record.key, generation=record.generation, due_at=run.due_at, attempt=attempt)
        message = outgoing("proj", "store", stored, occurrence, rules, desk_of(post.app).store.now())
        assert (message.ticket.task_id, message.ticket.attempt, message.ticket.aware) == (result.id, attempt, True)
        (released,) = post.release_all([message])
        headers = released["headers"]
        assert headers["pyncette"] == message.ticket.as_header()
        assert (headers["id"], headers["mine"]) == (result.id, 1)
        if until is None:
            assert headers["expires"] is None
            assert released["properties"].get("expiration") is None
        else:
            assert abs(datetime.fromisoformat(headers["expires"]) - until) < timedelta(seconds=5)


def test_failed_it_is_sent_again_until_it_succeeds_or_the_attempts_are_used(post: Post):
    post.add.apply_async((1,), pyncette_policy=RETRY)
    (record,) = post.parked()
    rules = meaning(post, record).rules
    now = Instant(record.due_at + 1)
    for failures in range(3):
        failed = Run(
            due_at=record.due_at, generation=record.generation, starts=failures + 1, failures=failures,
            started_at=now, outcome=Outcome.FAILED,
        )  # fmt: skip
        planned = plan(replace(record, run=failed, due_at=NEVER), now, OneTime(record.due_at), rules)
        assert planned.first is not None
        after = planned.first.record
        assert after is not None
        assert (after.run is not None, after.dead is not None) == ((True, False) if failures < 2 else (False, True))


def test_no_backend_is_asked_about_its_attempts_because_they_have_one_id(post: Post):
    post.add.apply_async((1,), pyncette_policy=AWARE)
    (record,) = post.parked()
    run = Run(due_at=record.due_at, generation=record.generation, dispatched_at=record.due_at)
    assert asked_about(replace(record, run=run)) is None


def test_what_is_running_can_be_seen_and_is_not_moved(post: Post):
    result = post.add.apply_async((1,), pyncette_policy=AWARE)
    due = post.parked()[0].due_at
    begun(post)
    state = delayed.get_delayed(result.id, app=post.app)
    assert state is not None
    assert (state.state, state.eta) == ("running", datetime_of(due))
    assert delayed.count_delayed(app=post.app).first == datetime_of(due)
    assert delayed.move_delayed(result.id, timedelta(hours=1), app=post.app) is None


@pytest.mark.parametrize("how", ["cancel", "revoke"])
def test_cancelled_or_revoked_while_it_runs_it_is_not_repeated(post: Post, how: str):
    result = post.add.apply_async((1,), pyncette_policy=RETRY)
    record = begun(post)
    if how == "cancel":
        assert delayed.cancel_delayed(result.id, app=post.app) is False
    else:
        result.revoke()
    assert result.state == "PENDING", "the worker has the last word"
    assert delayed.get_delayed(result.id, app=post.app) is None
    (left,) = post.parked()
    assert left.removed
    assert left.run == record.run
    failed = replace(left, run=replace(record.run, outcome=Outcome.FAILED), lease=None)
    planned = plan(failed, Instant(failed.due_at), OneTime(failed.due_at), meaning_of(failed, Rules(aware=True)).rules)
    assert planned.first == Write(record=None)


def test_cancelled_while_its_message_waits_in_a_queue_it_is_gone(post: Post):
    result = post.add.apply_async((1,), pyncette_policy=AWARE)
    (record,) = post.parked()
    run = Run(due_at=record.due_at, generation=record.generation, dispatched_at=record.due_at)
    desk_of(post.app).store.apply([change_of(record.key, record, Write(record=replace(record, run=run)))])
    assert delayed.cancel_delayed(result.id, app=post.app) is True
    assert post.parked() == [], "its START will be refused"


def test_parked_again_while_it_runs_it_waits_for_that_run(post: Post):
    post.add.apply_async((1,), task_id="one", pyncette_policy=AWARE)
    before = begun(post)
    post.add.apply_async((2,), task_id="one", countdown=60, pyncette_policy=AWARE)
    (after,) = post.parked()
    assert (after.run, after.lease) == (before.run, before.lease)
    assert after.generation != before.generation
    ended = replace(after, run=replace(before.run, outcome=Outcome.SUCCEEDED), lease=None)
    planned = plan(ended, desk_of(post.app).store.now(), OneTime(ended.due_at), Rules(aware=True))
    assert planned.first is not None
    assert planned.first.record is not None
    assert (planned.first.record.run, planned.first.record.due_at) == (None, after.due_at)


def test_what_a_followed_task_is_replaced_by_does_not_take_its_place(post: Post):
    """Same task id, retries 0 again: the record of the run that is going on stays as it is."""
    post.add.apply_async((1,), task_id="one", pyncette_policy=AWARE)
    before = begun(post)
    ticket = {"aware": True, "replaced": 1}
    post.add.apply_async((2,), task_id="one", countdown=60, headers={"pyncette": ticket})
    records = {record.key: record for record in post.parked()}
    assert records[before.key] == before
    (other,) = set(records) - {before.key}
    assert identity(other) == ("one", 1)
    assert delayed.move_delayed("one", timedelta(hours=1), app=post.app) is None, "beats wait for it at its time"
    assert records == {record.key: record for record in post.parked()}


def test_it_is_never_too_late_but_by_its_own_expiry(posts: Callable[..., Post]):
    post = posts(pyncette_catch_up="none", pyncette_grace=60)
    post.add.apply_async((1,), countdown=60, pyncette_policy=RETRY)
    (record,) = post.parked()
    rules = meaning(post, record).rules
    assert (rules.catch_up, rules.grace) == (CatchUp.LATEST, None)
    post.add.apply_async((1,), task_id="asked", countdown=60, pyncette_policy={**RETRY, "grace": 600})
    (asked,) = (record for record in post.parked() if identity(record.key)[0] == "asked")
    assert meaning(post, asked).rules.grace == 600_000


@pytest.mark.parametrize("fields", [{}, {"outcome": Outcome.SUCCEEDED}], ids=["runs", "has run"])
def test_without_a_lease_it_still_cannot_be_cancelled_once_it_was_begun(post: Post, fields: dict[str, Any]):
    result = post.add.apply_async((1,), pyncette_policy=AWARE)
    record = begun(post, **fields)
    change = change_of(record.key, record, Write(record=replace(record, lease=None)))
    desk_of(post.app).store.apply([change])
    assert delayed.cancel_delayed(result.id, app=post.app) is False


def test_rules_that_contradict_settings_of_today_cost_one_line(post: Post):
    post.add.apply_async((1,), countdown=60, pyncette_policy={**AWARE, "start_within": 30})
    (record,) = post.parked()
    settings = replace(desk_of(post.app).settings, claim_time=60_000)
    with pytest.raises(CorruptRecord, match="start_within"):
        StaticDefinitions(post.app, settings, {}).meaning(record)

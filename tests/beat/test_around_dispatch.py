"""Middlewares around what a beat sends: order, changes, vetoes, and what each exception does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from kombu.exceptions import OperationalError

from celery_pyncette import ConfigurationError
from celery_pyncette.events import Dispatched, Missed, PublishFailed, Skipped, UsedUp
from celery_pyncette.middleware import Dispatch, Skip, skip_if
from celery_pyncette.middleware.registry import share
from tests.beat.post import Post
from tests.support.wait import wait_until

AWARE = {"result_aware": True, "delivery": "at_least_once"}
POLICIES = {
    "at least once": {"delivery": "at_least_once"},
    "at most once": {"delivery": "at_most_once"},
    "aware, at least once": {"result_aware": True},
    "aware, at most once": {"result_aware": True, "delivery": "at_most_once"},
}
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post(imports=["celery_pyncette.worker.autoload"])
    yield made
    made.close()


def note(post: Post, name: str, **filters: Any) -> None:
    """A middleware that writes down that it was entered, and how it was left."""

    def noted(dispatch: Dispatch) -> Iterator[None]:
        post.did.append(f"{name} in")
        try:
            yield
        except BaseException as error:
            post.did.append(f"{name} {type(error).__name__}")
            raise
        post.did.append(f"{name} out")

    post.pyncette.dispatch_middleware(noted, **filters)


def no_broker(post: Post, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever is handed to the broker is refused."""

    def refuse(*_: Any, **__: Any) -> None:
        post.did.append("sent")
        raise error

    monkeypatch.setattr(post.app.tasks["proj.report"], "apply_async", refuse)


def test_they_are_entered_as_defined_and_left_in_reverse_when_it_is_sent(post: Post):
    for name in "ab":
        note(post, name)
    post.due()
    assert len(post.tick()) == 1
    assert post.did == ["a in", "b in", "b out", "a out"]
    assert post.state().counters.started == 1


def test_what_a_dispatch_tells(post: Post):
    seen: list[Any] = []

    @post.pyncette.dispatch_middleware
    def looks(dispatch: Dispatch) -> Iterator[None]:
        seen.append(
            (dispatch.entry, dispatch.task_name, dispatch.args, dispatch.kwargs, dispatch.attempt, dispatch.queue)
        )
        seen.append((dispatch.due_at, dispatch.task_id, dispatch.headers["periodic_task_name"]))
        assert dispatch.occurrence.token is None
        assert repr(dispatch).startswith("<Dispatch of 'entry' due 20")
        yield

    post.due(args=[1, "two"], kwargs={"three": 3})
    (message,) = post.tick()
    (sent,) = post.seen.of(Dispatched)
    assert seen[0] == ("entry", "proj.report", (1, "two"), {"three": 3}, 1, post.app.conf.task_default_queue)
    assert (seen[1][0].timestamp() * 1000, *seen[1][1:]) == (sent.due_at, message["headers"]["id"], "entry")


def test_headers_and_options_are_changed_for_this_message_alone(post: Post):
    @post.pyncette.dispatch_middleware(entries="first")
    def changes(dispatch: Dispatch) -> Iterator[None]:
        dispatch.headers["tenant"] = "acme"
        dispatch.options.update(priority=7, queue="slow")
        post.did.append(dispatch.queue)
        yield

    post.due("first", options={"headers": {"own": 1}})
    (message,) = post.tick() or post.waiting("slow")
    assert message["properties"]["priority"] == 7
    assert {"tenant", "own", "pyncette", "periodic_task_name", "celery_beat_task"} < message["headers"].keys()
    assert post.did == ["slow"]
    post.due("second")
    (message,) = post.tick()
    assert "tenant" not in message["headers"]
    assert message["properties"]["priority"] == 0
    assert post.state("first").spec.options == {"headers": {"own": 1}}


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"entries": "ent*"}, True),
        ({"entries": "other"}, False),
        ({"tasks": "proj.*"}, True),
        ({"tasks": "Proj.*"}, False),
        ({"queues": "slow"}, True),
        ({"queues": "fast"}, False),
    ],
)
def test_filters(post: Post, filters: dict[str, Any], wanted: bool):
    note(post, "a", **filters)
    post.due(options={"queue": "slow"})
    post.tick()
    assert bool(post.did) is wanted


@pytest.mark.parametrize("declares", ["task_routes", "task_queues"])
def test_a_queue_is_known_as_routes_say(post: Post, declares: str):
    from kombu import Exchange, Queue

    if declares == "task_routes":
        post.app.conf.task_routes = {"proj.*": {"queue": "slow"}}
        options = {}
    else:
        post.app.conf.task_queues = [Queue("slow", Exchange("media"), routing_key="video")]
        options = {"exchange": "media", "routing_key": "video"}
    note(post, "a", queues="slow")
    post.due(options=options)
    post.tick()
    assert post.did == ["a in", "a out"]


def test_a_veto_uses_the_occurrence_up_as_skipped(post: Post):
    note(post, "a")
    post.pyncette.dispatch_middleware(skip_if(lambda dispatch: dispatch.entry == "entry", "maintenance"))
    note(post, "c")
    post.due()
    post.due("another")
    assert [message["headers"]["periodic_task_name"] for message in post.tick()] == ["another"]
    assert post.did.count("a Skip") == 1
    state = post.state()
    assert (state.counters.expected, state.counters.started, state.counters.skipped) == (1, 0, 1)
    assert [(line.outcome, line.reason) for line in state.recent] == [("skipped", "vetoed: maintenance")]
    assert state.next_due is not None
    assert state.lease is None


@each_policy
def test_a_veto_is_told_with_its_reason_and_is_no_alarm(post: Post, policy: Any, caplog: pytest.LogCaptureFixture):
    post.pyncette.dispatch_middleware(skip_if(lambda dispatch: True, "maintenance"))
    post.due(policy=policy)
    with caplog.at_level(logging.INFO):
        assert post.tick() == []
    (skipped,) = post.seen.of(Skipped)
    assert (skipped.count, skipped.reason, skipped.said) == (1, "vetoed", "maintenance")
    assert post.seen.of(PublishFailed) == post.seen.of(Missed) == post.seen.of(UsedUp) == []
    assert "reason vetoed: maintenance" in caplog.text
    assert "Message Error" not in caplog.text
    state = post.state()
    assert (state.counters.expected, state.counters.started, state.counters.skipped, state.run) == (1, 0, 1, None)
    post.due()
    assert post.tick() == []
    assert post.state().counters.skipped == 2


@each_policy
def test_one_that_fails_before_its_yield_sends_nothing_and_it_is_tried_again(
    post: Post, policy: Any, caplog: pytest.LogCaptureFixture
):
    note(post, "a")
    broken = [True]

    @post.pyncette.dispatch_middleware(entries="entry")
    def refuses(dispatch: Dispatch) -> Iterator[None]:
        if broken:
            raise OSError("no")
        yield

    post.due(policy=policy)
    post.due("another")
    assert [message["headers"]["periodic_task_name"] for message in post.tick()] == ["another"]
    assert post.did.count("a OSError") == 1
    (failed,) = post.seen.of(PublishFailed)
    assert failed.retry_in == 5
    assert failed.error == "a middleware around the dispatch failed, OSError: no"
    assert "no" in caplog.text
    state = post.state()
    assert (state.counters.started, state.counters.skipped) == (0, 0)
    broken.clear()
    post.due()
    assert [message["headers"]["periodic_task_name"] for message in post.tick()] == ["entry"]
    assert post.seen.of(Skipped) == []


def test_one_that_fails_after_the_send_is_logged_and_the_message_stands(post: Post, caplog: pytest.LogCaptureFixture):
    note(post, "a")

    @post.pyncette.dispatch_middleware
    def fails(dispatch: Dispatch) -> Iterator[None]:
        yield
        raise Skip("too late") if dispatch.entry == "late veto" else KeyError("k")

    for name in ("entry", "late veto"):
        post.due(name)
        assert len(post.tick()) == 1
        state = post.state(name)
        assert (state.counters.started, state.recent[0].outcome) == (1, "sent")
    assert post.did == ["a in", "a KeyError", "a in", "a Skip"]
    assert "middleware_failed: 'entry' due 20" in caplog.text
    assert "sent all the same: KeyError('k')" in caplog.text
    assert post.seen.of(Skipped) == []


@pytest.mark.parametrize("reacts", ["raises", "swallows", "vetoes"])
def test_what_they_make_of_a_failed_publish_changes_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch, reacts: str, caplog: pytest.LogCaptureFixture
):
    @post.pyncette.dispatch_middleware
    def reacting(dispatch: Dispatch) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            post.did.append(type(error).__name__)
            if reacts == "raises":
                raise TypeError("another") from error
            if reacts == "vetoes":
                raise Skip("never mind") from error

    no_broker(post, monkeypatch, ConnectionRefusedError("away"))
    post.due()
    assert post.tick() == []
    assert post.did == ["sent", "SchedulingError"]
    (failed,) = post.seen.of(PublishFailed)
    assert failed.retry_in == 5
    assert "away" in failed.error
    assert ("middleware_failed" in caplog.text) is (reacts != "swallows")


def test_a_lost_answer_stays_a_lost_answer(post: Post, monkeypatch: pytest.MonkeyPatch):
    note(post, "a")
    no_broker(post, monkeypatch, OperationalError("closed"))
    post.due(policy={"delivery": "at_most_once"})
    assert post.tick() == []
    (sent,) = post.seen.of(Dispatched)
    assert sent.unsure
    assert post.state().counters.started == 1
    assert post.did == ["a in", "sent", "a SchedulingError"]


def test_what_would_go_nowhere_is_refused(post: Post):
    @post.pyncette.dispatch_middleware
    def replaces(dispatch: Dispatch) -> Iterator[None]:
        dispatch.options = {**dispatch.options, "priority": 1}  # type: ignore[misc]
        yield

    post.due()
    assert post.tick() == []
    (failed,) = post.seen.of(PublishFailed)
    assert "AttributeError" in failed.error


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda dispatch: dispatch.headers.pop("pyncette"), "header 'pyncette'"),
        (lambda dispatch: dispatch.headers["pyncette"].update(ns="other"), "header 'pyncette'"),
        (lambda dispatch: dispatch.headers.update(periodic_task_name="x"), "header 'periodic_task_name'"),
        (lambda dispatch: dispatch.options.update(headers=None), "must stay a dict"),
        (lambda dispatch: dispatch.options.update(task_id="mine"), "option 'task_id'"),
        (lambda dispatch: dispatch.options.update(producer=object()), "option 'producer'"),
        (lambda dispatch: dispatch.options.update(expires=1), "option 'expires'"),
    ],
)
def test_what_would_break_the_protocol_is_refused(post: Post, change: Any, says: str):
    @post.pyncette.dispatch_middleware
    def changes(dispatch: Dispatch) -> Iterator[None]:
        change(dispatch)
        yield

    post.due(policy=AWARE)
    assert post.tick() == []
    (failed,) = post.seen.of(PublishFailed)
    assert says in failed.error
    assert "ConfigurationError" in failed.error


def test_an_asynchronous_one_is_refused(post: Post):
    async def asynchronous(dispatch: Dispatch) -> Any:
        yield

    with pytest.raises(ConfigurationError, match="asynchronous is asynchronous"):
        post.pyncette.dispatch_middleware(asynchronous)


def test_one_without_a_yield_says_what_to_do(post: Post):
    @post.pyncette.dispatch_middleware
    def forgot(dispatch: Dispatch) -> Iterator[None]:
        if dispatch.entry == "never":
            yield

    post.due()
    assert post.tick() == []
    (failed,) = post.seen.of(PublishFailed)
    assert "raise Skip to keep from happening what it is around" in failed.error


def test_a_stop_passes_through_them_and_is_never_swallowed(post: Post, monkeypatch: pytest.MonkeyPatch):
    @post.pyncette.dispatch_middleware
    def swallows(dispatch: Dispatch) -> Iterator[None]:
        try:
            yield
        except BaseException:
            post.did.append("seen")

    no_broker(post, monkeypatch, SystemExit())  # type: ignore[arg-type]
    post.due()
    with pytest.raises(SystemExit):
        post.tick()
    assert post.did == ["sent", "seen"]


def test_a_cancelled_error_is_a_failure_like_any_other_and_no_stop(post: Post, caplog: pytest.LogCaptureFixture):
    """``asyncio.run()`` lets it out, and it is no ``Exception``."""

    @post.pyncette.dispatch_middleware
    def cancelled(dispatch: Dispatch) -> Iterator[None]:
        if dispatch.entry == "before":
            raise asyncio.CancelledError
        yield
        if dispatch.entry == "after":
            raise asyncio.CancelledError

    for name in ("before", "after", "another"):
        post.due(name)
    sent = {message["headers"]["periodic_task_name"] for message in post.tick()}
    assert sent == {"after", "another"}
    (failed,) = post.seen.of(PublishFailed)
    assert failed.error == "a middleware around the dispatch failed, CancelledError: "
    assert "middleware_failed: 'after' due" in caplog.text


@each_policy
def test_a_reason_that_is_no_utf8_can_be_stored_all_the_same(post: Post, policy: Any):
    post.pyncette.dispatch_middleware(skip_if(lambda dispatch: True, "no file caf\udce9"))
    post.due(policy=policy)
    assert post.tick() == []
    assert [line.reason for line in post.state().recent] == ["vetoed: no file caf\\udce9"]


def test_a_vetoed_one_off_is_kept_as_a_dead_letter(post: Post):
    from datetime import datetime, timezone

    post.pyncette.dispatch_middleware(skip_if(lambda dispatch: True, "maintenance"))
    post.due(execute_at=datetime(2020, 1, 1, tzinfo=timezone.utc), interval=None)
    assert post.tick() == []
    assert post.state().dead_until is not None


def test_a_vetoed_occurrence_of_an_overlapping_entry_is_no_dead_letter(post: Post):
    from celery_pyncette.client.desk import desk_of
    from celery_pyncette.stores.protocol import Query

    post.pyncette.dispatch_middleware(skip_if(lambda dispatch: True, "maintenance"))
    post.due(policy={"result_aware": True, "overlap": "allow"})
    assert [*post.tick(), *post.tick()] == []
    (skipped,) = post.seen.of(Skipped)
    assert (skipped.key[:2], skipped.reason) == ("o:", "vetoed")
    left = desk_of(post.app).store.scan(Query(prefix="o:")).records
    assert all(record.removed and record.dead is None for record in left)


def test_a_second_attempt_that_is_vetoed_ends_the_run(post: Post):
    """What an earlier attempt has started is no skipped occurrence."""
    from dataclasses import replace

    from celery_pyncette.client.desk import desk_of
    from celery_pyncette.core.records import Key, Outcome, Write
    from celery_pyncette.stores.writes import write_as_editor

    post.pyncette.dispatch_middleware(skip_if(lambda dispatch: dispatch.attempt == 2, "once is enough"))
    post.due(policy={"result_aware": True, "on_failure": "retry", "backoff": (1, 1)})
    assert len(post.tick()) == 1

    def failed(record: Any, now: Any) -> Write:
        run = replace(record.run, starts=1, started_at=now, ended_at=now, outcome=Outcome.FAILED)
        return Write(record=replace(record, run=run, lease=None))

    def at_once(record: Any, now: Any) -> Write:
        return Write(record=replace(record, run=replace(record.run, until=now)))

    store = desk_of(post.app).store
    write_as_editor(store, Key("d:entry"), failed)
    assert post.tick() == []
    write_as_editor(store, Key("d:entry"), at_once)
    assert post.tick() == []
    (ended,) = post.seen.of(UsedUp)
    assert (ended.outcome, ended.reason, ended.attempt) == ("abandoned", "vetoed: once is enough", 2)
    assert post.seen.of(Skipped) == []
    state = post.state()
    assert (state.counters.expected, state.counters.started, state.counters.skipped) == (1, 1, 0)


def test_what_was_defined_before_an_app_was_known_is_the_apps_too(post: Post):
    from celery_pyncette import Pyncette

    later = Pyncette()
    later.dispatch_middleware(skip_if(lambda dispatch: True, "maintenance"))
    share(post.app, later._middlewares)
    post.due()
    assert post.tick() == []


def test_a_parked_message_meets_none():
    """It is a finished message, and whoever has sent it waits for it."""
    from celery_pyncette.delay import interceptor

    post = Post(pyncette_delay_queue=True, pyncette_delay_threshold=0)
    try:
        note(post, "a")
        post.pyncette.dispatch_middleware(skip_if(lambda dispatch: True, "maintenance"))
        interceptor.install(post.app)
        parked = post.app.tasks["proj.report"].apply_async(countdown=0.05)
        assert post.waiting() == []
        message = wait_until(post.tick, 10, "the parked message is sent", every=0.05)
        assert message[0]["headers"]["id"] == parked.id
        assert post.did == []
    finally:
        post.close()

"""Which calls are parked, which are not, and what the caller sees of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from celery import Celery, chain, chord, group, signals
from kombu import Connection, Producer

from celery_pyncette import delayed
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import SchemaMismatch, StoreUnavailable
from celery_pyncette.core.instants import instant_of
from celery_pyncette.engine.parking import NotParked, Parked, identity, unpack
from tests.delay.post import Post

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "write",
    [
        lambda eta: eta,
        lambda eta: eta.isoformat(),
        lambda eta: eta.astimezone(timezone(timedelta(hours=5))),
        lambda eta: eta.replace(tzinfo=None),
    ],
    ids=["eta", "text", "zone", "naive"],
)
def test_a_far_eta_is_parked(post: Post, write: Callable[[datetime], object]):
    eta = datetime.now(timezone.utc) + HOUR
    result = post.add.apply_async((1, 2), eta=write(eta))
    (record,) = post.parked()
    assert identity(record.key) == (result.id, 0)
    assert record.due_at == instant_of(eta)
    assert post.waiting() == []
    (event,) = post.seen.of(Parked)
    assert (event.task, event.task_id, event.again) == ("proj.add", result.id, False)


@pytest.mark.parametrize("countdown", [60, 60.5])
def test_a_long_countdown_is_parked(post: Post, countdown: float):
    before = datetime.now(timezone.utc)
    post.add.apply_async((1, 2), countdown=countdown)
    after = datetime.now(timezone.utc)
    (record,) = post.parked()
    wait = timedelta(seconds=countdown)
    assert instant_of(before + wait) <= record.due_at <= instant_of(after + wait)
    assert post.waiting() == []


@pytest.mark.parametrize("countdown", [5, -3])
def test_a_short_countdown_goes_to_the_broker_with_its_eta(post: Post, countdown: float):
    before = datetime.now(timezone.utc)
    post.add.apply_async((1, 2), countdown=countdown)
    after = datetime.now(timezone.utc)
    assert post.parked() == []
    (message,) = post.waiting()
    wait = timedelta(seconds=countdown)
    assert before + wait <= datetime.fromisoformat(message["headers"]["eta"]) <= after + wait


def test_an_eta_that_has_passed_goes_to_the_broker_with_it(post: Post):
    eta = datetime.now(timezone.utc) - HOUR
    post.add.apply_async((1, 2), eta=eta)
    assert post.parked() == []
    (message,) = post.waiting()
    assert datetime.fromisoformat(message["headers"]["eta"]) == eta


def test_without_a_delay_nothing_changes(post: Post):
    post.add.delay(1, 2)
    assert post.parked() == []
    assert post.waiting()[0]["headers"]["eta"] is None


def test_switched_off_nothing_changes(posts: Callable[..., Post]):
    post = posts(pyncette_delay_queue=False)
    post.add.apply_async((1,), countdown=60)
    assert post.waiting()[0]["headers"]["eta"] is not None


def test_the_threshold_can_be_nothing(posts: Callable[..., Post]):
    post = posts(pyncette_delay_threshold=0)
    post.add.apply_async((1,), countdown=0.4)
    assert len(post.parked()) == 1
    assert post.parked()[0].created_at > 0, "its tombstone protects it from being parked twice"


@pytest.mark.parametrize("wrong", [{"eta": 5}, {"countdown": "soon"}, {"eta": "tomorrow"}])
def test_what_celery_refuses_or_lets_pass_is_left_to_it(posts: Callable[..., Post], wrong: dict[str, object]):
    outcomes = []
    for on in (True, False):
        post = posts(pyncette_delay_queue=on)
        try:
            post.add.apply_async((1,), **wrong)
            outcomes.append(repr([message["headers"]["eta"] for message in post.waiting()]))
        except Exception as error:
            outcomes.append(repr(error))
        assert post.parked() == []
    assert outcomes[0] == outcomes[1]


def test_signatures_chains_groups_chords(post: Post):
    add = post.add
    add.s(1, 2).set(countdown=60).apply_async()
    add.signature((1, 2), countdown=61).delay()
    first = len(post.parked())
    chain(add.s(1, 2), add.s(3)).apply_async(countdown=60)
    second = len(post.parked())
    group(add.s(1, 2), add.s(3, 4)).apply_async(countdown=60)
    assert (first, second, len(post.parked())) == (2, 3, 5)
    assert post.waiting() == []


def test_the_headers_of_a_chord_are_parked(post: Post):
    body = post.add.si(1, 1)
    chord([post.add.s(1, 2), post.add.s(3, 4)], body).apply_async(countdown=60)
    assert {record.spec.task for record in post.parked()} >= {"proj.add"}
    assert len([record for record in post.parked() if record.spec.task == "proj.add"]) == 2


def test_the_same_id_and_retry_twice_is_one_record_and_the_last_stays(post: Post):
    post.add.apply_async((1,), countdown=60, task_id="one")
    post.add.apply_async((2,), countdown=90, task_id="one")
    (record,) = post.parked()
    state = delayed.get_delayed("one", app=post.app)
    assert state is not None
    assert state.args == "(2,)"
    assert record.version == 2
    assert [event.again for event in post.seen.of(Parked)] == [False, True]
    post.add.apply_async((3,), countdown=90, task_id="one", retries=1)
    assert len(post.parked()) == 2
    state = delayed.get_delayed("one", app=post.app)
    assert state is not None
    assert state.retries == 1


def test_eager_tasks_run_at_once(posts: Callable[..., Post]):
    post = posts(task_always_eager=True)
    assert post.add.apply_async((1, 2), countdown=60).get() == 3
    assert post.parked() == []


@pytest.mark.filterwarnings("ignore")
def test_protocol_1_is_left_alone(posts: Callable[..., Post]):
    post = posts(task_protocol=1)
    post.add.apply_async((1, 2), countdown=60)
    assert post.parked() == []
    assert len(post.waiting()) == 1


def test_a_producer_of_the_same_broker_parks_and_one_of_another_does_not(post: Post):
    with post.app.connection_for_write() as connection:
        post.add.apply_async((1,), countdown=60, producer=post.app.amqp.Producer(connection))
    assert len(post.parked()) == 1
    with Connection("memory://elsewhere") as connection:
        post.add.apply_async((2,), countdown=60, producer=Producer(connection))
        post.add.apply_async((3,), countdown=60, connection=connection)
    assert len(post.parked()) == 1


def test_what_is_too_large_goes_to_the_broker_with_a_warning(posts: Callable[..., Post], caplog):
    post = posts(pyncette_max_payload=2000)
    with caplog.at_level(logging.WARNING):
        post.add.apply_async((" " * 3000,), countdown=60)
    assert post.parked() == []
    (message,) = post.waiting()
    assert message["headers"]["eta"] is not None
    assert "not_parked: proj.add" in caplog.text
    assert "pyncette_max_payload (2000)" in caplog.text
    assert len(post.seen.of(NotParked)) == 1


@pytest.mark.parametrize("call", [{"task_id": "x" * 700}, {"headers": {"odd": object}}], ids=["id", "header"])
def test_what_no_store_can_keep_is_not_parked(post: Post, call: dict[str, object], monkeypatch):
    sent = []
    monkeypatch.setattr(post.app.amqp.Producer, "publish", lambda self, body, **given: sent.append(given))
    post.add.apply_async((1,), countdown=60, **call)
    assert post.parked() == []
    assert len(sent) == 1


def broken(post: Post) -> None:
    def fail(*args: object) -> None:
        raise StoreUnavailable("it is away")

    desk_of(post.app).store.store.apply = fail  # type: ignore[attr-defined]


def test_with_the_store_down_the_caller_gets_the_error(posts: Callable[..., Post]):
    post = posts(pyncette_store_timeout=0.1)
    broken(post)
    with pytest.raises(StoreUnavailable):
        post.add.apply_async((1,), countdown=60)
    assert post.waiting() == []


def test_or_the_message_goes_to_the_broker_with_its_eta(posts: Callable[..., Post], caplog):
    post = posts(pyncette_store_timeout=0.1, pyncette_delay_on_store_error="broker")
    broken(post)
    before = datetime.now(timezone.utc)
    with caplog.at_level(logging.WARNING):
        result = post.add.apply_async((1,), countdown=60)
    (message,) = post.waiting()
    assert message["headers"]["id"] == result.id
    assert datetime.fromisoformat(message["headers"]["eta"]) >= before + timedelta(seconds=60)
    assert "not_parked" in caplog.text


def test_before_the_first_beat_there_is_no_store_to_park_in(posts: Callable[..., Post]):
    post = posts(founded=False)
    with pytest.raises(SchemaMismatch):
        post.add.apply_async((1,), countdown=60)


def test_parking_needs_no_broker(posts: Callable[..., Post]):
    post = posts(broker_url="redis://127.0.0.1:1/0", broker_transport_options={"socket_connect_timeout": 1})
    post.add.apply_async((1,), countdown=60)
    assert len(post.parked()) == 1


def test_signals_and_the_event_see_the_eta_when_it_is_parked(posts: Callable[..., Post]):
    post = posts(task_send_sent_event=True)
    seen = []

    def before(headers, **given):
        if not seen:
            seen.append(("before", headers["eta"]))
            headers["added"] = "by a signal"
            post.add.delay(7)  # another message, in the middle of this one

    def after(headers, **given):
        seen.append(("after", headers["eta"], len(post.parked())))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    try:
        post.add.apply_async((1,), countdown=60)
    finally:
        signals.before_task_publish.disconnect(before)
        signals.after_task_publish.disconnect(after)
    assert seen[0][0] == "before"
    assert seen[0][1] is not None
    assert seen[-1][0] == "after"
    assert seen[-1][1:] == (seen[0][1], 1), "the record is there before anybody is told"
    (message,) = post.waiting()
    assert message["headers"]["argsrepr"] == "(7,)"
    post.release()
    assert [message["headers"]["added"] for message in post.waiting()] == ["by a signal"]


def test_an_app_whose_send_task_was_replaced_keeps_it(posts: Callable[..., Post]):
    class Audited(Celery):
        calls = 0

        def send_task(self, *args, **kwargs):
            Audited.calls += 1
            return super().send_task(*args, **kwargs)

    post = posts()
    post.app.__class__ = Audited
    post.add.apply_async((1,), countdown=60)
    assert Audited.calls == 1
    assert len(post.parked()) == 1


def test_the_app_can_still_be_pickled(post: Post):
    import pickle

    post.add.apply_async((1,), countdown=60)
    _ = post.app.control
    again = pickle.loads(pickle.dumps(post.app))
    assert again.main == "proj"
    assert again.control.broadcast is not None


@pytest.mark.parametrize("countdown", [0.5, 60])
def test_quorum_queues_never_go_through_the_native_delay_exchange(posts: Callable[..., Post], countdown: float):
    post = posts(
        broker_url="amqp://127.0.0.1:1//",
        task_default_queue_type="quorum",
        task_default_exchange="work",
        task_default_exchange_type="topic",
        task_default_routing_key="work.all",
        pyncette_delay_threshold=0,
    )
    post.add.apply_async((1,), countdown=countdown)
    (record,) = post.parked()
    message = unpack(record.body or b"")
    assert (message.sending["exchange"], message.sending["routing_key"]) == ("work", "work.all")
    (queue,) = message.declare
    assert queue["queue_arguments"] == {"x-queue-type": "quorum"}
    assert queue["exchange"] == {"name": "work", "type": "topic"}

"""What happens around a task, in which order, and what each exception does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest
from celery import Task
from celery.exceptions import Ignore, Reject, Retry

from celery_pyncette import ConfigurationError, Pyncette, current_occurrence
from celery_pyncette.middleware import TaskRun, skip_if
from tests.worker.bench import Bench, as_in_a_worker


def note(bench: Bench, pyncette: Pyncette, name: str, **filters: Any) -> None:
    """A middleware that writes down that it was entered, and how it was left."""

    def noted(run: TaskRun) -> Iterator[None]:
        bench.did.append(f"{name} in")
        try:
            yield
        except BaseException as error:
            bench.did.append(f"{name} {type(error).__name__}")
            raise
        bench.did.append(f"{name} out")

    pyncette.middleware(noted, **filters)


def a_task(bench: Bench, does: Any = None, **options: Any) -> Any:
    @bench.task(name="mine", bind=True, **options)
    def mine(self: Any, *args: Any, **kwargs: Any) -> Any:
        bench.did.append("ran")
        return does(self, *args, **kwargs) if does else "result"

    return mine


def traced(bench: Bench, task: Any, *args: Any, **request: Any) -> str | None:
    bench.ready()
    return bench.trace(task, {}, args=args, **request)


def raising(error: BaseException) -> Any:
    def does(self: Any, *args: Any) -> None:
        raise error

    return does


def test_they_are_entered_in_the_order_of_their_definition_and_left_in_reverse(bench: Bench, pyncette: Pyncette):
    for name in "abc":
        note(bench, pyncette, name)
    assert traced(bench, a_task(bench)) == "SUCCESS"
    assert bench.did == ["a in", "b in", "c in", "ran", "c out", "b out", "a out"]
    assert bench.traced.retval == "result"
    assert bench.store.calls == [], "an ordinary task never touches the store"


def test_the_exception_of_the_task_is_thrown_into_each(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")
    note(bench, pyncette, "b")
    assert traced(bench, a_task(bench, raising(KeyError("k")))) == "FAILURE"
    assert bench.did == ["a in", "b in", "ran", "b KeyError", "a KeyError"]


def test_one_that_raises_at_its_end_fails_the_task_and_those_around_it_see_that(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")

    @pyncette.middleware
    def commits(run: TaskRun) -> Iterator[None]:
        yield
        raise ValueError("cannot commit")

    note(bench, pyncette, "c")
    failed: list[Any] = []

    class Base(Task):
        def on_failure(self, exc: Any, *args: Any) -> None:
            failed.append(exc)

    assert traced(bench, a_task(bench, base=Base)) == "FAILURE"
    assert bench.did == ["a in", "c in", "ran", "c out", "a ValueError"]
    assert repr(failed) == "[ValueError('cannot commit')]"


def test_one_that_raises_at_its_begin_fails_the_task_before_it_runs(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")

    @pyncette.middleware
    def refuses(run: TaskRun) -> Iterator[None]:
        raise ValueError("no")
        yield

    note(bench, pyncette, "c")
    assert traced(bench, a_task(bench)) == "FAILURE"
    assert bench.did == ["a in", "a ValueError"]


def test_what_a_middleware_makes_of_an_exception_is_what_counts(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")

    @pyncette.middleware
    def translates(run: TaskRun) -> Iterator[None]:
        try:
            yield
        except KeyError as error:
            raise LookupError("not there") from error

    assert traced(bench, a_task(bench, raising(KeyError("k")))) == "FAILURE"
    assert bench.did == ["a in", "ran", "a LookupError"]


def test_one_that_swallows_makes_the_task_succeed_with_nothing(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")

    @pyncette.middleware
    class Swallows:
        def __init__(self, run: TaskRun) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> bool:
            return True

    assert traced(bench, a_task(bench, raising(KeyError("k")))) == "SUCCESS"
    assert bench.did == ["a in", "ran", "a out"]
    assert bench.traced.retval is None


@pytest.mark.parametrize(
    ("error", "state"), [(Ignore(), "IGNORED"), (Reject("no"), "REJECTED"), (Retry("later"), "RETRY")]
)
def test_words_to_celery_are_seen_and_cannot_be_swallowed(
    bench: Bench, pyncette: Pyncette, error: Exception, state: str
):
    seen: list[Any] = []

    @pyncette.middleware
    def swallows(run: TaskRun) -> Iterator[None]:
        try:
            yield
        except Exception as raised:
            seen.append(raised)

    task = a_task(bench, raising(error))
    assert traced(bench, task) == state
    assert seen == [error]


def test_one_that_raises_while_a_retry_leaves_sends_no_other_and_is_logged(
    bench: Bench, pyncette: Pyncette, caplog: pytest.LogCaptureFixture
):
    seen: list[type[BaseException] | None] = []

    @pyncette.middleware
    def outer(run: TaskRun) -> Iterator[None]:
        try:
            yield
        except BaseException as raised:
            seen.append(type(raised))
            raise

    @pyncette.middleware
    def rolls_back(run: TaskRun) -> Iterator[None]:
        try:
            yield
        except Exception:
            raise ZeroDivisionError("the database is away") from None

    task = a_task(bench, raising(Retry("later")), autoretry_for=(ZeroDivisionError,))
    assert traced(bench, task) == "RETRY"
    assert seen == [Retry]
    assert "middleware_failed: while the task said Retry" in caplog.text
    assert "the database is away" in caplog.text


def test_skip_ends_a_run_as_ignored_without_an_error(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")
    pyncette.middleware(skip_if(lambda run: run.args == (1,), "maintenance"))
    note(bench, pyncette, "c")
    task = a_task(bench)
    assert traced(bench, task, 1) == "IGNORED"
    assert bench.did == ["a in", "a Skip"]
    bench.did.clear()
    assert traced(bench, task, 2) == "SUCCESS"
    assert bench.did == ["a in", "c in", "ran", "c out", "a out"]


def test_a_result_aware_run_that_is_skipped_is_reported_as_skipped(bench: Bench, pyncette: Pyncette):
    pyncette.middleware(skip_if(lambda run: True, "maintenance"))
    task = a_task(bench)
    bench.ready()
    ticket = bench.run(task)
    assert bench.state == "IGNORED"
    assert bench.outcome(ticket) == ("skipped", "maintenance")
    assert bench.did == []


def test_a_message_that_is_refused_meets_no_middleware(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")
    task = a_task(bench)
    bench.ready()
    ticket = bench.run(task)
    assert bench.outcome(ticket) == ("succeeded", None)
    bench.did.clear()
    assert bench.trace(task, {"pyncette": ticket.as_header()}, ticket.task_id) == "IGNORED"
    assert bench.did == []


def test_one_that_fails_fails_the_run(bench: Bench, pyncette: Pyncette):
    @pyncette.middleware
    def refuses(run: TaskRun) -> Iterator[None]:
        raise ValueError("no")
        yield

    task = a_task(bench)
    bench.ready()
    assert bench.outcome(bench.run(task)) == ("failed", None)
    assert bench.did == []


def test_what_a_run_tells(bench: Bench, pyncette: Pyncette):
    seen: list[Any] = []

    @pyncette.middleware
    def looks(run: TaskRun) -> Iterator[None]:
        seen.append((run.task_name, run.args, run.kwargs, run.request.id, run.entry, run.queue))
        assert run.occurrence == current_occurrence()
        assert run.task.name == "mine"
        yield

    task = a_task(bench)
    bench.ready()
    bench.trace(task, {}, "id-1", (1, "two"), delivery_info={"routing_key": "fast", "exchange": ""})
    ticket = bench.run(task)
    bench.ready()
    assert seen == [
        ("mine", (1, "two"), {}, "id-1", None, "fast"),
        ("mine", (), {}, ticket.task_id, "entry", None),
    ]


def test_a_queue_is_known_by_its_exchange_and_routing_key(bench: Bench, pyncette: Pyncette):
    from kombu import Exchange, Queue

    bench.app.conf.task_queues = [Queue("slow", Exchange("media"), routing_key="video")]
    seen: list[Any] = []

    @pyncette.middleware
    def looks(run: TaskRun) -> Iterator[None]:
        seen.append(run.queue)
        yield

    task = a_task(bench)
    traced(bench, task, delivery_info={"routing_key": "video", "exchange": "media"})
    traced(bench, task, delivery_info={"routing_key": "audio", "exchange": "media"})
    assert seen == ["slow", "audio"]


def test_an_occurrence_that_is_not_result_aware_is_known_too(bench: Bench, pyncette: Pyncette):
    seen: list[Any] = []

    @pyncette.middleware(scheduled=True)
    def looks(run: TaskRun) -> Iterator[None]:
        seen.append((run.entry, run.occurrence))
        yield

    task = a_task(bench)
    bench.ready()
    header = {"pyncette": {**_PLAIN, "task_id": "id-1"}}
    assert bench.trace(task, header, "id-1") == "SUCCESS"
    assert bench.trace(task, header, "of-a-group") == "SUCCESS", "a header that was copied says nothing"
    assert bench.trace(task, {"pyncette": {"task_id": "id-2", "due_at": "x"}}, "id-2") == "SUCCESS"
    assert len(seen) == 1
    assert seen[0][0] == "entry"
    assert seen[0][1].due_at.isoformat() == "1970-01-01T00:16:40+00:00"
    assert (seen[0][1].attempt, seen[0][1].token) == (1, None)
    assert current_occurrence() is None
    assert bench.store.calls == []


#: As a beat writes it: what is zero, empty or unset is left out.
_PLAIN = {
    "v": 1,
    "ns": "proj",
    "store": "the-store",
    "key": "s:entry",
    "gen": "g1",
    "due_at": 1_000_000,
    "attempt": 1,
    "delivery": "at_least_once",
}


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"scheduled": True}, {"scheduled"}),
        ({"tasks": "mine"}, {"ordinary", "scheduled"}),
        ({"tasks": ["other", "m*"]}, {"ordinary", "scheduled"}),
        ({"tasks": "Mine"}, set()),
        ({"entries": "ent*"}, {"scheduled"}),
        ({"entries": "nightly"}, set()),
        ({"queues": "fast"}, {"ordinary"}),
        ({"queues": ["slow", "f?st"], "scheduled": True}, set()),
    ],
)
def test_filters(bench: Bench, pyncette: Pyncette, filters: dict[str, Any], wanted: set[str]):
    note(bench, pyncette, "a", **filters)
    task = a_task(bench)
    found = set()
    traced(bench, task, delivery_info={"routing_key": "fast"})
    if "a in" in bench.did:
        found.add("ordinary")
    bench.did.clear()
    bench.run(task)
    if "a in" in bench.did:
        found.add("scheduled")
    assert found == wanted


def test_users_before_start_and_call_are_within_and_what_follows_the_result_is_not(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")

    class Base(Task):
        def before_start(self, *args: Any) -> None:
            bench.did.append("before_start")

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            bench.did.append("call")
            return super().__call__(*args, **kwargs)

        def on_success(self, *args: Any) -> None:
            bench.did.append("on_success")

        def after_return(self, *args: Any) -> None:
            bench.did.append("after_return")

    task = a_task(bench, base=Base)
    bench.ready()
    as_in_a_worker(bench.app)
    assert traced(bench, task) == "SUCCESS"
    assert bench.did == ["a in", "before_start", "call", "ran", "a out", "on_success", "after_return"]


@pytest.mark.parametrize("swallows", [False, True])
def test_a_before_start_that_raises_is_thrown_into_them_and_fails_the_task(
    bench: Bench, pyncette: Pyncette, swallows: bool
):
    @pyncette.middleware
    def looks(run: TaskRun) -> Iterator[None]:
        try:
            yield
        except ValueError:
            bench.did.append("seen")
            if not swallows:
                raise

    class Base(Task):
        def before_start(self, *args: Any) -> None:
            raise ValueError("so")

    assert traced(bench, a_task(bench, base=Base)) == "FAILURE"
    assert bench.did == ["seen"]


def test_autoretry_is_for_middlewares_too(bench: Bench, pyncette: Pyncette, monkeypatch: pytest.MonkeyPatch):
    @pyncette.middleware
    def commits(run: TaskRun) -> Iterator[None]:
        yield
        raise ConnectionError("away")

    note(bench, pyncette, "b")
    sent: list[Any] = []
    task = a_task(bench, autoretry_for=(ConnectionError,), max_retries=2, retry_backoff=7, retry_jitter=False)
    bench.ready()
    real = bench.app.tasks["mine"]
    monkeypatch.setattr(type(real), "apply_async", lambda self, *args, **options: None, raising=False)
    monkeypatch.setattr(
        type(real), "signature_from_request", lambda self, *a, **k: sent.append(k["countdown"]) or _Signature()
    )
    assert traced(bench, task) == "RETRY"
    assert bench.did == ["b in", "ran", "b out"]
    assert traced(bench, task, retries=1) == "RETRY"
    assert sent == [7, 14]
    assert traced(bench, task, retries=2) == "FAILURE", "that is enough"


class _Signature:
    def apply_async(self) -> None:
        """Sent."""


def test_with_autoretry_they_see_the_retry(bench: Bench, pyncette: Pyncette, monkeypatch: pytest.MonkeyPatch):
    note(bench, pyncette, "a")
    task = a_task(bench, raising(ConnectionError("away")), autoretry_for=(ConnectionError,))
    bench.ready()
    real = bench.app.tasks["mine"]
    monkeypatch.setattr(type(real), "signature_from_request", lambda self, *a, **k: _Signature())
    assert traced(bench, task) == "RETRY"
    assert bench.did == ["a in", "ran", "a Retry"]


def test_a_direct_call_meets_none_and_an_eager_one_all(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")
    bench.app.conf.task_always_eager = True
    task = a_task(bench)
    bench.ready()
    assert bench.app.tasks["mine"]() == "result"
    assert bench.did == ["ran"]
    assert task.delay().get() == "result"
    assert bench.did == ["ran", "a in", "ran", "a out"]


def test_a_task_within_a_task_is_part_of_it(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")
    task = a_task(bench, lambda self, depth=0: self(depth + 1) if depth < 1 else "deep")
    bench.ready()
    as_in_a_worker(bench.app)
    assert traced(bench, task) == "SUCCESS"
    assert bench.did == ["a in", "ran", "ran", "a out"]


def test_one_that_is_cut_off_is_left_when_the_task_is_over(bench: Bench, pyncette: Pyncette):
    """SystemExit between two of Celery's calls: nothing but ``task_postrun`` follows."""
    note(bench, pyncette, "a")

    class Base(Task):
        def before_start(self, *args: Any) -> None:
            """Mine."""

    task = a_task(bench, base=Base)
    bench.ready()
    real = bench.app.tasks["mine"]
    put = type(real).__call__

    def cut(self: Any, *args: Any, **kwargs: Any) -> None:
        raise SystemExit

    type(real).__call__ = cut
    with pytest.raises(SystemExit):
        traced(bench, task)
    type(real).__call__ = put
    assert bench.did == ["a in", "a SystemExit"]


def test_system_exit_of_the_task_passes_through(bench: Bench, pyncette: Pyncette):
    note(bench, pyncette, "a")
    with pytest.raises(SystemExit):
        traced(bench, a_task(bench, raising(SystemExit(1))))
    assert bench.did == ["a in", "ran", "a SystemExit"]


async def coroutine(run: TaskRun) -> None:
    """Not for us."""


async def generator(run: TaskRun) -> Any:
    yield


class Asynchronous:
    def __call__(self, run: TaskRun) -> Any:
        return self

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *error: object) -> None: ...


@pytest.mark.parametrize("given", [coroutine, generator, Asynchronous(), Asynchronous])
def test_asynchronous_ones_are_refused_where_they_are_defined(pyncette: Pyncette, given: Any):
    with pytest.raises(ConfigurationError, match=r"is asynchronous\. Celery runs tasks without an event loop"):
        pyncette.middleware(given)


@pytest.mark.parametrize("given", [3, lambda: None, lambda run, more: None])
def test_what_is_no_middleware_is_refused_where_it_is_defined(pyncette: Pyncette, given: Any):
    with pytest.raises(ConfigurationError, match="one argument|one yield"):
        pyncette.middleware(given)


@pytest.mark.parametrize("filters", [{"tasks": []}, {"entries": [3]}, {"queues": ""}])
def test_a_filter_that_fits_nothing_is_refused(pyncette: Pyncette, filters: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="a name or pattern, or a list of them"):
        pyncette.middleware(**filters)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (lambda run: None, "which is no context manager"),
        (lambda run: Asynchronous(), "is asynchronous"),
        (lambda run: (_ for _ in ()), "which is no context manager"),
    ],
)
def test_one_that_answers_no_context_manager_fails_the_task_and_says_so(
    bench: Bench, pyncette: Pyncette, given: Any, problem: str
):
    pyncette.middleware(given)
    assert traced(bench, a_task(bench)) == "FAILURE"
    assert problem in str(bench.traced.info.retval)
    assert bench.did == []


def test_one_that_does_not_yield_says_what_to_do(bench: Bench, pyncette: Pyncette):
    @pyncette.middleware
    def forgets(run: TaskRun) -> Iterator[None]:
        if run.args:
            yield

    assert traced(bench, a_task(bench)) == "FAILURE"
    assert "raise Skip to keep from happening what it is around" in str(bench.traced.info.retval)


def test_two_extensions_of_one_app_share_what_they_define():
    from celery import Celery

    from celery_pyncette import apps

    app = Celery("shared-middlewares", set_as_current=False)
    first, second = Pyncette(app), Pyncette()
    apps.forget(app)

    def mine(run: TaskRun) -> Iterator[None]:
        yield

    second.middleware(mine)
    second.init_app(app)
    first.middleware(mine)
    assert len(second._middlewares.tasks) == len(first._middlewares.tasks) == 2


@pytest.mark.timeout(10)
def test_a_mock_is_looked_at_in_finite_time(pyncette: Pyncette):
    """It has each attribute that it is asked for, ``func`` too."""
    manager = MagicMock()
    pyncette.middleware(manager)
    pyncette.fixture(manager, name="db")


@pytest.mark.parametrize("where", ["before", "after"])
def test_one_that_lets_a_cancelled_error_out_fails_the_task(bench: Bench, pyncette: Pyncette, where: str):
    """It is no ``Exception``, and Celery would lose the task."""

    @pyncette.middleware
    def cancelled(run: TaskRun) -> Iterator[None]:
        if where == "before":
            raise asyncio.CancelledError
        yield
        raise asyncio.CancelledError

    @bench.task(name="mine")
    def mine() -> None: ...

    bench.ready()
    as_in_a_worker(bench.app)
    assert bench.trace(mine, {}) == "FAILURE"
    assert "a middleware around the task let out a CancelledError" in str(bench.traced.info.retval)

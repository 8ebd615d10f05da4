"""What Celery expects of a scheduler class, wherever ours defines or uses it; the same on every Celery we support."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, beat
from celery.beat import BeatLazyFunc, ScheduleEntry, SchedulingError
from celery.schedules import crontab, schedule

from celery_pyncette import Scheduler


@pytest.fixture
def app() -> Iterator[Celery]:
    application = Celery("conformance", broker="memory://", set_as_current=False)
    application.conf.pyncette_store_url = "memory://conformance"
    yield application
    application.close()


class Sent:
    """What a task was asked to send."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.answer: Any = type("Result", (), {"id": "an-id"})()
        self.error: Exception | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        if self.error is not None:
            raise self.error
        return self.answer


def entry(app: Celery, **changes: Any) -> ScheduleEntry:
    given: dict[str, Any] = {"name": "an entry", "task": "a.task", "schedule": schedule(10), "app": app}
    return Scheduler.Entry(**{**given, **changes})


@pytest.fixture
def lazy(app: Celery) -> Scheduler:
    return Scheduler(app, lazy=True)


@pytest.fixture
def registered(app: Celery, monkeypatch: pytest.MonkeyPatch) -> Sent:
    """A task that is registered under ``a.task``; what it is asked to send is written down."""
    sent = Sent()

    @app.task(name="a.task", shared=False)
    def a_task() -> None: ...

    monkeypatch.setattr(app.tasks["a.task"], "apply_async", sent)
    return sent


def test_is_what_celery_takes_for_a_scheduler() -> None:
    assert issubclass(Scheduler, beat.Scheduler)


def test_the_schedule_given_to_the_constructor_is_the_schedule(app: Celery) -> None:
    given = {"foo": "bar"}
    assert Scheduler(app, schedule=given, lazy=True).schedule == given


def test_the_schedule_can_be_set(lazy: Scheduler) -> None:
    lazy.schedule = {"foo": "bar"}
    assert lazy.schedule == {"foo": "bar"}


def test_a_registered_task_is_sent_through_its_own_apply_async(app: Celery, lazy: Scheduler, registered: Sent) -> None:
    lazy.apply_async(entry(app, args=(1,), kwargs={"a": 2}), advance=False)
    ((args, options),) = registered.calls
    assert (list(args[0]), dict(args[1])) == ([1], {"a": 2})
    assert "producer" in options


def test_a_task_that_is_not_registered_is_sent_by_name(
    app: Celery, lazy: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent()
    monkeypatch.setattr(app, "send_task", sent)
    lazy.apply_async(entry(app, task="not.registered"), advance=False)
    assert [args[0] for args, _ in sent.calls] == ["not.registered"]


def test_send_task_is_the_apps(app: Celery, lazy: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent()
    monkeypatch.setattr(app, "send_task", sent)
    lazy.send_task("tasks.add", countdown=10)
    assert sent.calls == [(("tasks.add",), {"countdown": 10})]


@pytest.mark.parametrize(("args", "kwargs"), [(None, None), ([], {})], ids=["null", "empty"])
def test_an_entry_without_arguments_is_sent_without(
    app: Celery, lazy: Scheduler, registered: Sent, args: Any, kwargs: Any
) -> None:
    lazy.apply_async(entry(app, args=args, kwargs=kwargs), advance=False)
    ((given, _),) = registered.calls
    assert (list(given[0]), dict(given[1])) == ([], {})


def test_lazy_arguments_are_evaluated_for_each_message(app: Celery, lazy: Scheduler, registered: Sent) -> None:
    counted = iter(range(10))
    given = entry(app, args=(BeatLazyFunc(lambda: next(counted)),), kwargs={"n": BeatLazyFunc(lambda: next(counted))})
    lazy.apply_async(given, advance=False)
    lazy.apply_async(given, advance=False)
    assert [(list(args[0]), dict(args[1])) for args, _ in registered.calls] == [([0], {"n": 1}), ([2], {"n": 3})]


def test_what_cannot_be_sent_is_a_scheduling_error(app: Celery, lazy: Scheduler, registered: Sent) -> None:
    registered.error = KeyError("queue")
    with pytest.raises(SchedulingError, match="an entry"):
        lazy.apply_async(entry(app), advance=False)


@pytest.mark.parametrize("error", [None, KeyError("queue")], ids=["sent", "failed"])
def test_apply_entry_raises_nothing(app: Celery, lazy: Scheduler, registered: Sent, error: Exception | None) -> None:
    registered.error = error
    lazy.apply_entry(entry(app))
    assert len(registered.calls) == 1


@pytest.mark.parametrize("answer", [None, object()], ids=["none", "no id"])
def test_apply_entry_takes_any_answer(app: Celery, lazy: Scheduler, registered: Sent, answer: Any) -> None:
    registered.answer = answer
    lazy.apply_entry(entry(app))
    assert len(registered.calls) == 1


def test_the_banner_has_a_line_about_it_and_no_secret(app: Celery) -> None:
    app.conf.pyncette_store_url = "postgresql://user:sesame@db.example/jobs"
    info = Scheduler(app, lazy=True).info
    assert "db.example" in info
    assert "sesame" not in info


def test_lazy_construction_opens_nothing(app: Celery, tmp_path: Path) -> None:
    app.conf.pyncette_store_url = f"sqlite:///{tmp_path}/store.sqlite3"
    scheduler = Scheduler(app, lazy=True)
    assert scheduler.info
    assert scheduler.max_interval
    assert not list(tmp_path.iterdir())


def test_entries_of_the_configuration_are_in_the_schedule(app: Celery) -> None:
    app.conf.beat_schedule = {
        "by crontab": {"task": "a.task", "schedule": crontab(minute="5"), "args": (1,)},
        "by interval": {"task": "a.task", "schedule": 30.0, "options": {"queue": "fast"}},
    }
    scheduler = Scheduler(app)
    assert scheduler.schedule["by crontab"].schedule == crontab(minute="5")
    assert scheduler.schedule["by interval"].options == {"queue": "fast"}
    assert all(isinstance(shown, ScheduleEntry) for shown in scheduler.schedule.values())


def test_entries_added_before_the_start_are_in_the_schedule(app: Celery) -> None:
    app.add_periodic_task(10.0, app.signature("a.task"), name="added")
    app.finalize()
    assert Scheduler(app).schedule["added"].task == "a.task"


@pytest.mark.parametrize(
    ("backend", "expires", "there"),
    [
        ("db+sqlite://", 3600, True),
        ("db+sqlite://", 0, False),
        ("cache+memory://", 3600, False),
    ],
    ids=["a backend that does not expire by itself", "results are kept", "a backend that does"],
)
def test_the_clean_up_of_results_is_added_where_it_is_needed(
    app: Celery, backend: str, expires: int, there: bool
) -> None:
    app.conf.update(result_backend=backend, result_expires=expires)
    assert ("celery.backend_cleanup" in Scheduler(app).schedule) is there


def test_the_users_own_clean_up_wins(app: Celery) -> None:
    app.conf.update(result_backend="db+sqlite://", result_expires=3600)
    app.conf.beat_schedule = {"celery.backend_cleanup": {"task": "celery.backend_cleanup", "schedule": 99.0}}
    assert Scheduler(app).schedule["celery.backend_cleanup"].schedule == schedule(99.0)


def test_syncing_and_closing_can_be_repeated(app: Celery) -> None:
    scheduler = Scheduler(app)
    scheduler.tick()
    for _ in range(2):
        scheduler.sync()
        scheduler.close()
    assert scheduler.tick() >= 0


@pytest.mark.parametrize(
    ("asked", "configured", "poll", "settled"),
    [(None, 0, 1, 1), (5, 0, 1, 1), (1, 0, 30, 1), (None, 0.5, 1, 0.5), (None, 300, 2, 2)],
)
def test_the_longest_wait_is_the_shortest_that_anybody_asked_for(
    app: Celery, asked: int | None, configured: float, poll: float, settled: float
) -> None:
    app.conf.update(beat_max_loop_interval=configured, pyncette_poll_interval=poll)
    assert Scheduler(app, max_interval=asked, lazy=True).max_interval == settled


def test_what_is_due_is_eventually_sent(app: Celery, registered: Sent) -> None:
    app.conf.beat_schedule = {"soon": {"task": "a.task", "schedule": 0.01}}
    scheduler = Scheduler(app)
    for _ in range(1000):
        scheduler.runtime.clock.sleep(min(scheduler.tick(), 0.01))
        if len(registered.calls) >= 3:
            break
    assert len(registered.calls) >= 3
    assert len({options["task_id"] for _, options in registered.calls}) == len(registered.calls)
    scheduler.close()

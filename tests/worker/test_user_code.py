"""What users do with task classes keeps working behind the gate, and nothing of theirs runs before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Task, _state
from celery.app.trace import build_tracer, reset_worker_optimizations

from celery_pyncette.worker import hooks
from tests.worker.bench import Bench, as_in_a_worker
from tests.worker.support import a_ticket

pytestmark = pytest.mark.full_matrix


@pytest.fixture
def bench() -> Iterator[Bench]:
    hooks.connect()
    bench, default, current = Bench(), _state.default_app, _state._tls.current_app
    yield bench
    reset_worker_optimizations(bench.app)
    _state.set_default_app(default)
    _state._set_current_app(current)


def both(bench: Bench, task: Any, *args: Any) -> tuple[str | None, str | None]:
    """The states of a run that is granted and of one that is refused."""
    bench.ready()
    as_in_a_worker(bench.app)
    ticket = bench.run(task, *args)
    granted = bench.state
    return granted, bench.trace(task, {"pyncette": ticket.as_header()}, ticket.task_id, args)


def test_a_base_class_with_a_call_of_its_own(bench: Bench):
    class Base(Task):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            bench.did.append("before")
            try:
                return super().__call__(*args, **kwargs)
            finally:
                bench.did.append("after")

    @bench.task(name="mine", base=Base, bind=True)
    def mine(self: Any, number: int) -> int:
        bench.did.append(self.request.id is not None)
        return number * 2

    assert both(bench, mine, 3) == ("SUCCESS", "IGNORED")
    assert bench.did == ["before", True, "after"], "once, and not for the message that was refused"


def test_a_class_based_task_and_its_subclass(bench: Bench):
    class Parent(Task):
        name = "parent"

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            bench.did.append("call")
            return self.run(*args, **kwargs)

        def run(self, *args: Any) -> str:
            bench.did.append(self.name)
            return "ran"

    class Child(Parent):
        name = "child"

    bench.app.register_task(Parent())
    child = bench.app.register_task(Child())
    assert both(bench, child) == ("SUCCESS", "IGNORED")
    assert bench.did == ["call", "child"]


def test_nothing_of_before_start_runs_for_a_message_that_is_refused(bench: Bench):
    class Base(Task):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            bench.did.append("before_start")

        def after_return(self, *args: Any) -> None:
            bench.did.append("after_return")

        def on_success(self, *args: Any) -> None:
            bench.did.append("on_success")

    @bench.task(name="mine", base=Base)
    def mine() -> None:
        bench.did.append("ran")

    assert both(bench, mine) == ("SUCCESS", "IGNORED")
    assert bench.did == ["before_start", "ran", "on_success", "after_return"]
    bench.store.calls.clear()
    assert bench.trace(mine, {}) == "SUCCESS"
    assert bench.store.calls == []


def test_before_start_is_part_of_the_run(bench: Bench):
    from celery_pyncette import current_occurrence

    class Base(Task):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            bench.did.append(current_occurrence())

    @bench.task(name="mine", base=Base)
    def mine() -> None:
        bench.did.append(current_occurrence())

    both(bench, mine)
    assert bench.did[0] == bench.did[1]
    assert bench.did[0].token is not None
    assert current_occurrence() is None, "it ends with the task"


def test_a_before_start_that_raises_has_failed(bench: Bench):
    class Base(Task):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            raise ValueError("so")

    @bench.task(name="mine", base=Base)
    def mine() -> None:
        bench.did.append("ran")

    bench.ready()
    ticket = bench.run(mine)
    assert bench.state == "FAILURE"
    assert bench.outcome(ticket) == ("failed", None)
    assert bench.did == []


def test_a_task_that_calls_itself_does_as_without_the_gate(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    @bench.task(name="mine", bind=True)
    def mine(self: Any, depth: int = 0) -> int:
        bench.did.append((depth, self.request.id))
        return mine(depth + 1) if depth < 2 else depth

    plain = Bench()

    @plain.task(name="mine", bind=True)
    def same(self: Any, depth: int = 0) -> int:
        plain.did.append((depth, self.request.id))
        return same(depth + 1) if depth < 2 else depth

    bench.ready()
    as_in_a_worker(bench.app)
    assert bench.trace(mine, {}, "id") == "SUCCESS"
    others = {callback for callback in _state._on_app_finalizers if callback is not hooks._app_is_being_finalized}
    monkeypatch.setattr(_state, "_on_app_finalizers", others)
    task = plain.app.tasks["mine"]
    assert "_pyncette_gated" not in type(task).__dict__
    traced = build_tracer("mine", task, app=plain.app)("id", [], {}, {"id": "id", "delivery_info": {}})
    assert traced.retval == 2
    assert [depth for depth, _ in bench.did] == [depth for depth, _ in plain.did] == [0, 1, 2]
    assert [task_id for _, task_id in bench.did] == [task_id for _, task_id in plain.did]


def test_a_task_can_be_called_directly_outside_of_a_worker(bench: Bench):
    @bench.task(name="mine")
    def mine(number: int) -> int:
        return number + 1

    bench.ready()
    assert mine(1) == 2
    assert mine.apply(args=(1,)).get() == 2
    assert bench.store.calls == []


def test_a_request_class_of_the_users_own_keeps_its_methods(bench: Bench):
    from celery.worker.request import Request

    from celery_pyncette.worker.requests import GateMixin

    class Mine(Request):
        def on_accepted(self, pid: int, time_accepted: float) -> None:
            """Mine."""

    @bench.task(name="mine", Request=Mine)
    def mine() -> None:
        """Nothing."""

    bench.ready()
    request = bench.app.tasks["mine"].Request
    assert issubclass(request, GateMixin)
    assert issubclass(request, Mine)
    hooks.install(bench.app)
    assert bench.app.tasks["mine"].Request is request, "once"


def test_the_options_of_annotations_stay(bench: Bench):
    bench.app.conf.task_annotations = {"*": {"time_limit": 7}}

    @bench.task(name="mine")
    def mine() -> None:
        """Nothing."""

    bench.ready()
    assert bench.app.tasks["mine"].time_limit == 7
    assert a_ticket().aware

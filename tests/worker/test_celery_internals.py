"""All that is relied on and that Celery does not promise; a release that changes it fails here, not in production."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from celery import Celery, Task, _state, signals
from celery.exceptions import Ignore, Retry

from celery_pyncette.worker import celery_internals as internals
from celery_pyncette.worker import hooks
from celery_pyncette.worker.gate import Refused, StoreDown, StoreDownAgain


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Celery:
    """An app whose tasks have no gate, whoever has loaded it in this process."""
    others = {callback for callback in _state._on_app_finalizers if callback is not hooks._app_is_being_finalized}
    monkeypatch.setattr(_state, "_on_app_finalizers", others)
    return Celery("pinned", broker="memory://", set_as_current=False)


class Pool:
    """As much of a pool as ``create_request_cls`` looks at."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def apply_async(self, *args: Any, **kwargs: Any) -> None:
        self.jobs.append((args, kwargs))


def request_of(app: Celery, task: Any, base: type, headers: dict[str, Any] | None = None) -> tuple[Any, Pool]:
    """A request as a worker makes it of a message."""
    from celery.worker.request import create_request_cls
    from kombu import Message

    pool = Pool()
    cls = create_request_cls(base, task, pool, "host", None, app=app)
    body = ((), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})
    message = Message(
        headers={"id": "id", "task": task.name, "root_id": "id", "parent_id": None, **(headers or {})},
        delivery_info={"exchange": "e", "routing_key": "r"},
        body=body,
        content_type="application/data",
        content_encoding="binary",
    )
    return cls(message, app=app, task=task, decoded=True, body=body, hostname="host"), pool


def test_every_app_that_is_finalized_is_told_also_one_that_was_unpickled(app: Celery):
    seen: list[Any] = []

    def note(finalized: Celery) -> None:
        if finalized.main == "pinned":
            seen.append(finalized)

    internals.when_an_app_is_finalized(note)
    copy = pickle.loads(pickle.dumps(app))
    app.finalize()
    copy.finalize()
    assert seen == [app, copy]
    _state._on_app_finalizers.discard(note)


def test_the_tracer_is_built_from_the_class_and_kept(app: Celery):
    @app.task(name="t", shared=False)
    def t() -> str:
        return "run"

    from celery.app.trace import build_tracer

    task = app.tasks["t"]
    task.__trace__ = build_tracer("t", task, app=app)
    type(task).__call__ = lambda self, *args, **kwargs: "called"
    assert task.__trace__("id", (), {}, {"delivery_info": {}}).retval == "run"
    internals.rebuild_tracer(app, task)
    assert task.__trace__("id", (), {}, {"delivery_info": {}}).retval == "called"


def test_a_task_that_was_never_traced_is_left_alone(app: Celery):
    @app.task(name="t", shared=False)
    def t() -> None:
        """Nothing."""

    assert app.tasks["t"].__trace__ is None
    internals.rebuild_tracer(app, app.tasks["t"])
    assert app.tasks["t"].__trace__ is None


def test_the_stock_request_is_named_where_we_look(app: Celery):
    from celery.worker.request import Request

    assert Task.Request == internals.STOCK_REQUEST
    assert f"{Request.__module__}:{Request.__qualname__}" == internals.STOCK_REQUEST


def test_these_methods_of_a_request_are_redefined_without_super_and_no_others(app: Celery):
    from celery.worker.request import Request, create_request_cls

    @app.task(name="t", shared=False)
    def t() -> None:
        """Nothing."""

    cls = create_request_cls(Request, app.tasks["t"], Pool(), "host", None, app=app)
    redefined = {name for name in cls.__dict__ if not name.startswith("__")}
    assert redefined == set(internals.REDEFINED)


def test_the_mixin_is_called_for_all_that_happens_to_a_request(app: Celery):
    from billiard.einfo import ExceptionInfo

    from celery_pyncette.worker.requests import GatedRequest, GateMixin
    from celery_pyncette.worker.tickets import NONCE
    from tests.worker.support import a_ticket

    said: list[Any] = []

    class Seen(GatedRequest):
        def _pyncette_over(self, ending: Any) -> None:
            said.append(ending.word if ending else None)

    @app.task(name="t", shared=False)
    def t() -> None:
        """Nothing."""

    ticket = a_ticket(task_id="id")
    request, pool = request_of(app, app.tasks["t"], Seen, {"pyncette": ticket.as_header()})
    assert isinstance(request, GateMixin)
    delivery, _ = request.pyncette
    request.execute_using_pool(pool)
    assert request.pyncette_pool is pool
    sent = pool.jobs[0][1]["args"][2]
    assert sent["delivery_info"][NONCE] == delivery.nonce, "the child gets the nonce"
    request.on_success((0, "done", 1.0))
    try:
        raise Ignore
    except Ignore:
        request.on_success((1, ExceptionInfo(internal=True), 1.0))
    assert said == [None, None]


def test_a_nonce_is_made_for_each_delivery_and_never_taken_from_a_header(app: Celery):
    from celery_pyncette.worker.requests import GatedRequest
    from celery_pyncette.worker.tickets import NONCE
    from tests.worker.support import a_ticket

    @app.task(name="t", shared=False)
    def t() -> None:
        """Nothing."""

    headers = {"pyncette": a_ticket(task_id="id").as_header(), "delivery_info": {NONCE: "mine"}, NONCE: "mine"}
    first, _ = request_of(app, app.tasks["t"], GatedRequest, headers)
    second, _ = request_of(app, app.tasks["t"], GatedRequest, headers)
    nonces = {request.request_dict["delivery_info"][NONCE] for request in (first, second)}
    assert len(nonces) == 2
    assert "mine" not in nonces
    ordinary, _ = request_of(app, app.tasks["t"], GatedRequest)
    assert ordinary.pyncette is None
    assert NONCE not in ordinary.delivery_info


def test_replace_ends_a_task_with_this_very_ignore(app: Celery):
    @app.task(name="t", bind=True, shared=False)
    def t(self: Any) -> None:
        raise self.replace(app.tasks["u"].si())

    @app.task(name="u", shared=False)
    def u() -> None:
        """Nothing."""

    from celery.app.trace import build_tracer

    ended: list[Any] = []

    def note(retval: Any = None, **_: Any) -> None:
        ended.append(retval)

    signals.task_postrun.connect(note)
    app.conf.broker_url = "memory://"
    build_tracer("t", app.tasks["t"], app=app)("id", (), {}, {"id": "id", "delivery_info": {}})
    assert internals.was_replaced(ended[0])
    assert not internals.was_replaced(Ignore())
    assert not internals.was_replaced(Refused("Replaced by new task"))


@pytest.mark.parametrize("error", [Refused("gone"), StoreDown("away"), StoreDownAgain("away", requeue=True)])
def test_our_exceptions_come_back_from_a_pools_child_as_they_are(error: Exception):
    from billiard.einfo import ExceptionInfo

    try:
        raise error
    except type(error):
        info = pickle.loads(pickle.dumps(ExceptionInfo(internal=True)))
    back = internals.cause(info)
    assert type(back) is type(error)
    assert back.args == error.args
    assert getattr(back, "requeue", None) == getattr(error, "requeue", None)


@pytest.mark.parametrize(("pool", "can"), [("prefork", True), ("gevent", True), ("threads", False), ("solo", False)])
def test_which_pools_can_stop_a_task(pool: str, can: bool):
    from celery.concurrency import get_implementation

    if pool == "gevent":
        pytest.importorskip("gevent")
    cls = get_implementation(pool)
    from celery.concurrency.base import BasePool

    stops = getattr(cls, "terminate_job", None) is not BasePool.terminate_job
    assert (stops or pool == "prefork") is can
    if not can:
        assert internals.stop_child(BasePool(), 1) is False


def test_the_flags_of_a_request_are_there(app: Celery):
    from celery.worker.request import Request

    @app.task(name="t", shared=False)
    def t() -> None:
        """Nothing."""

    request, _ = request_of(app, app.tasks["t"], Request)
    assert internals.was_announced_revoked(request) is False
    assert internals.was_cancelled(request) is False
    assert (Request._already_revoked, Request._already_cancelled) == (False, False)
    request._announce_revoked("revoked", False, None, False)
    assert internals.was_announced_revoked(request) is True


def test_an_exception_that_no_code_of_the_task_has_raised_is_retried_as_if_it_had(app: Celery):
    @app.task(name="t", shared=False, autoretry_for=(OSError,), retry_backoff=7, retry_jitter=False)
    def t() -> None:
        """Nothing."""

    @app.task(name="u", shared=False)
    def u() -> None:
        """Nothing."""

    app.conf.broker_url = "memory://"
    app.finalize()
    task = app.tasks["t"]
    task.push_request(id="id", called_directly=False, delivery_info={}, args=(), kwargs={}, retries=1)
    try:
        retry = internals.as_if_raised_by(task, OSError("away"))
        other = ValueError("so")
        assert (type(retry), retry.when) == (Retry, 14)
        assert internals.as_if_raised_by(task, other) is other
    finally:
        task.pop_request()
    assert internals.as_if_raised_by(app.tasks["u"], other) is other


def test_every_task_that_an_app_makes_of_a_function_is_told_before_it_is_finalized_and_after(app: Celery):
    made: list[Any] = []
    internals.when_a_task_is_made(app, made.append)

    @app.task(name="early", shared=False)
    def early() -> None: ...

    assert early.name == "early"
    assert not app.finalized
    app.finalize()

    @app.task(name="late", shared=False)
    def late() -> None: ...

    assert late.name == "late"
    mine = [task.name for task in made if task.name in ("early", "late")]  # not what others share with every app
    assert mine == ["early", "late"]


def test_it_is_known_before_there_is_a_pool_whether_it_has_children():
    from celery import concurrency

    # Without loading those that patch the interpreter.
    known = {name: internals.runs_tasks_in_children(name) for name in concurrency.get_available_pool_names()}
    assert {name for name, children in known.items() if children} == {"prefork", "processes"} & set(known)
    for name in ("prefork", "solo", "threads"):
        assert internals.runs_tasks_in_children(concurrency.get_implementation(name)) is (name == "prefork")
    mine = type("Mine", (concurrency.get_implementation("prefork"),), {"__module__": "mine"})
    assert internals.runs_tasks_in_children(mine)

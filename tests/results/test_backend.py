"""What is read of Celery's result backends, through their inside: a new Celery that changes it is noticed here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from celery import Celery, states
from celery.exceptions import TaskRevokedError

from celery_pyncette.aware import why_unreadable
from celery_pyncette.beat import backend as reading
from celery_pyncette.beat.backend import BackendResults
from celery_pyncette.core.plans import Backend

# redis-py's own wish, about what Celery calls.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

STORED: dict[str, tuple[str, Any]] = {
    "done": (states.SUCCESS, {"some": "result"}),
    "failed": (states.FAILURE, ValueError("no")),
    "running": (states.STARTED, {"pid": 1}),
    "again": (states.RETRY, ValueError("later")),
    "half": ("PROGRESS", {"percent": 50}),
    "pending": (states.PENDING, None),
    "expired": (states.REVOKED, TaskRevokedError("expired")),
    "revoked": (states.REVOKED, TaskRevokedError("revoked")),
    "terminated": (states.REVOKED, TaskRevokedError("terminated")),
}
SAID = {
    "done": Backend.SUCCESS,
    "failed": Backend.FAILURE,
    "running": Backend.STARTED,
    "again": Backend.STARTED,
    "half": Backend.STARTED,
    "revoked": Backend.REVOKED,
    "terminated": Backend.REVOKED,
}


def app_with(url: str, **conf: Any) -> Celery:
    app = Celery("results", backend=url, broker="memory://", set_as_current=False)
    app.conf.update(result_expires=60, **conf)
    return app


def as_sqlalchemy(url: str) -> str:
    return "db+" + url.replace("postgresql://", "postgresql+psycopg://", 1).replace("mysql://", "mysql+pymysql://", 1)


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.store("redis")),
        pytest.param("postgresql", marks=pytest.mark.store("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.store("mariadb")),
        "sqlite",
        "file",
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A clean result backend of each kind: MGET, `IN`, one by one."""
    if request.param == "file":
        (tmp_path / "results").mkdir()
        return f"file://{tmp_path}/results"
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return as_sqlalchemy(str(request.getfixturevalue(f"{request.param}_url")).replace("mariadb://", "mysql://"))


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while READERS:
        READERS.pop().close()


READERS: list[BackendResults] = []


def said_of(results: BackendResults, ids: list[str]) -> dict[str, Backend]:
    """What is known; every id is answered, also if nothing is."""
    READERS.append(results)
    answer = list(results.read(ids))
    assert [task_id for task_id, _ in answer] == ids
    return {task_id: state for task_id, state in answer if state is not None}


def store_all(app: Celery) -> None:
    """As a worker does."""
    for task_id, (state, result) in STORED.items():
        app.backend.store_result(task_id, result, state)


@pytest.mark.parametrize("conf", [{}, {"result_extended": True}], ids=str)
def test_the_states_of_many_ids_are_read_at_once(url: str, conf: dict[str, Any]) -> None:
    store_all(app_with(url, **conf))
    assert said_of(BackendResults(app_with(url, **conf)), [*STORED, "never heard of"]) == SAID


@pytest.mark.store("redis")
def test_compressed_results_are_read(redis_url: str) -> None:
    store_all(app_with(redis_url, result_compression="gzip"))
    assert said_of(BackendResults(app_with(redis_url)), list(STORED)) == SAID


def test_more_ids_than_fit_into_one_question(url: str) -> None:
    app = app_with(url)
    for task_id in ("id-0", "id-7", "id-23"):
        app.backend.store_result(task_id, None, states.SUCCESS)
    with patch.object(reading, "BATCH", 7):
        found = said_of(BackendResults(app), [f"id-{number}" for number in range(24)])
    assert found == dict.fromkeys(["id-0", "id-7", "id-23"], Backend.SUCCESS)


def test_a_state_is_never_remembered(url: str) -> None:
    worker, beat = app_with(url), BackendResults(app_with(url))
    worker.backend.store_result("one", None, states.STARTED)
    assert said_of(beat, ["one"]) == {"one": Backend.STARTED}
    worker.backend.store_result("one", None, states.SUCCESS)
    assert said_of(beat, ["one"]) == {"one": Backend.SUCCESS}


@pytest.mark.store("redis")
def test_redis_is_asked_once_for_a_batch(redis_url: str) -> None:
    app = app_with(redis_url)
    with patch.object(type(app.backend), "mget", autospec=True, side_effect=type(app.backend).mget) as mget:
        said_of(BackendResults(app), [f"id-{number}" for number in range(400)])
    assert mget.call_count == 1


@pytest.mark.store("postgresql")
def test_sql_is_asked_over_one_connection(postgresql_url: str) -> None:
    beat = BackendResults(app_with(as_sqlalchemy(postgresql_url)))
    said_of(beat, ["one"])
    engines = beat._backend.session_manager._engines
    [engine] = engines.values()
    for _ in range(5):
        said_of(beat, ["one"])
    assert list(engines.values()) == [engine]
    assert engine.pool.checkedin() == 1


def test_a_result_that_cannot_be_decoded_counts_as_at_work(url: str, tmp_path: Path) -> None:
    app = app_with(url)
    if not hasattr(app.backend, "set"):
        pytest.skip("no result is decoded to read its state")
    app.backend.set(app.backend.get_key_for_task("one"), b"\x00 no JSON")
    assert said_of(BackendResults(app), ["one"]) == {"one": Backend.STARTED}


def test_a_backend_that_is_away_raises() -> None:
    app = app_with("redis://127.0.0.1:1/0")
    with pytest.raises(Exception, match=r"refused|connect"):
        said_of(BackendResults(app), ["one"])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "there is none"),
        ("disabled://", "there is none"),
        ("rpc://", "the one process that sent the task"),
        ("cache+memory://", "memory of the worker"),
    ],
)
def test_what_no_other_process_can_read(url: str, reason: str) -> None:
    found = why_unreadable(app_with(url))
    assert found is not None
    assert reason in found


@pytest.mark.parametrize(
    "url",
    [
        "redis://nowhere.invalid:6379/0",
        "sentinel://nowhere.invalid:26379",
        "db+postgresql+psycopg://nowhere.invalid/results",
        "db+sqlite:////nowhere/at/all.sqlite3",
        "file:///tmp",
        "cache+memcached://nowhere.invalid:11211/",
    ],
)
def test_what_can_be_read_is_told_without_asking_any_server(url: str) -> None:
    assert why_unreadable(app_with(url)) is None


def test_a_backend_given_as_a_class_counts_too() -> None:
    app = app_with("redis://nowhere.invalid:6379/0")
    app.backend_cls = "celery.backends.rpc:RPCBackend"
    assert why_unreadable(app) is not None

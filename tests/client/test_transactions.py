"""Scheduling inside the caller's own transaction: with it, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy
from celery import Celery
from sqlalchemy.orm import Session

from celery_pyncette import InvalidEntry, WrongDatabase, get_task, run_task_now, schedule_task, unschedule_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.runtime import Runtime
from celery_pyncette.stores.protocol import Founding
from celery_pyncette.stores.sql.address import sql_url
from tests.client.setting import app_of

SQL = [pytest.param(name, marks=pytest.mark.store(name)) for name in ("sqlite", "postgresql", "mariadb")]


@pytest.fixture(params=SQL)
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def app(url: str) -> Iterator[Celery]:
    app = app_of(pyncette_store_url=url)
    store = Runtime(app).open_store()
    store.prepare(Founding())
    store.close()
    yield app
    desk_of(app).close()


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(sql_url(url))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


def order(connection, number: int = 1) -> None:
    connection.execute(sqlalchemy.text(f"INSERT INTO orders VALUES ({number})"))


def test_it_is_there_when_the_transaction_commits_and_never_if_it_rolls_back(app: Celery, engine: sqlalchemy.Engine):
    with engine.connect() as connection:
        order(connection)
        schedule_task("t", "n", interval=60, connection=connection, app=app)
        connection.rollback()
    assert get_task("n", app=app) is None
    with engine.begin() as connection:
        order(connection)
        state = schedule_task("t", "n", interval=60, connection=connection, app=app)
        assert schedule_task("t", "n", interval=60, connection=connection, app=app).version == state.version
        assert get_task("n", app=app) is None, "not before the commit"
    assert get_task("n", app=app).generation == state.generation


def test_replacing_and_removing_belong_to_the_transaction_too(app: Celery, engine: sqlalchemy.Engine):
    first = schedule_task("t", "n", interval=60, app=app)
    run_task_now("n", app=app)
    with engine.connect() as connection:
        schedule_task("u", "n", interval=60, connection=connection, app=app)
        connection.rollback()
    assert get_task("n", app=app).generation == first.generation
    with engine.connect() as connection:
        assert unschedule_task("n", connection=connection, app=app)
        connection.rollback()
        assert get_task("n", app=app) is not None
        assert unschedule_task("n", connection=connection, app=app)
        connection.commit()
    assert get_task("n", app=app) is None
    assert desk_of(app).store.fetch(["d:n"]).records == (None,)


def test_a_session_will_do(app: Celery, engine: sqlalchemy.Engine):
    with Session(engine) as session, session.begin():
        schedule_task("t", "n", interval=60, connection=session, app=app)
    assert get_task("n", app=app) is not None


def test_another_database_is_told(app: Celery, tmp_path):
    other = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/other.sqlite3")
    with other.connect() as connection, pytest.raises(WrongDatabase, match="no table pyncette_records"):
        schedule_task("t", "n", interval=60, connection=connection, app=app)
    twin = app_of(pyncette_store_url=f"sqlite:///{tmp_path}/other.sqlite3")
    store = Runtime(twin).open_store()
    store.prepare(Founding())
    store.close()
    with other.connect() as connection, pytest.raises(WrongDatabase, match="has the store"):
        schedule_task("t", "n", interval=60, connection=connection, app=app)
    other.dispose()
    with pytest.raises(InvalidEntry, match="must be a SQLAlchemy connection or session"):
        schedule_task("t", "n", interval=60, connection=object(), app=app)


def test_a_store_that_is_no_sql_database_cannot_join(here, engine: sqlalchemy.Engine):
    with engine.connect() as connection, pytest.raises(InvalidEntry, match="needs a store in an SQL database"):
        schedule_task("t", "n", interval=60, connection=connection, app=here.app)


@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_two_transactions_at_once_wait_for_one_another(app: Celery, engine: sqlalchemy.Engine, there: bool):
    """The later one goes on after the earlier one's commit, without an error, and has the last word.

    In each database's own isolation: READ COMMITTED on PostgreSQL, REPEATABLE READ on MariaDB.
    """
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time, and tells the second one that it is locked")
    if there:
        schedule_task("t", "n", interval=60, app=app)
    answers = []

    def later() -> None:
        with engine.begin() as connection:
            order(connection, 2)
            answers.append(schedule_task("later", "n", interval=60, connection=connection, app=app))

    with engine.begin() as connection:
        order(connection, 1)
        schedule_task("earlier", "n", interval=60, connection=connection, app=app)
        thread = threading.Thread(target=later)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive(), "it waits"
    thread.join(20)
    assert get_task("n", app=app).task == "later"
    assert get_task("n", app=app).generation == answers[0].generation
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT count(*) FROM orders")) == 2

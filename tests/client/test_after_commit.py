"""Calls that wait for the commit of a SQLAlchemy session."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from celery_pyncette import InvalidEntry, after_commit


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sqlalchemy.create_engine("sqlite://")
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_it_is_called_once_after_the_commit_and_never_after_a_rollback(session: Session):
    done: list[str] = []
    after_commit(session, partial(done.append, "lost"))
    session.rollback()
    session.commit()
    assert done == []
    after_commit(session, partial(done.append, "kept"))
    session.execute(sqlalchemy.text("SELECT 1"))
    session.flush()
    assert done == []
    session.commit()
    session.commit()
    assert done == ["kept"]


def test_a_savepoint_that_is_rolled_back_takes_its_calls_along(session: Session):
    done: list[str] = []
    with session.begin():
        after_commit(session, partial(done.append, "outer"))
        undone = session.begin_nested()
        after_commit(session, partial(done.append, "undone"))
        undone.rollback()
        with session.begin_nested(), session.begin_nested():
            after_commit(session, partial(done.append, "inner"))
        assert done == []
    assert done == ["outer", "inner"]


def test_a_session_that_is_closed_calls_nothing(session: Session):
    done: list[str] = []
    after_commit(session, partial(done.append, "lost"))
    session.close()
    session.commit()
    assert done == []


def test_what_a_call_raises_reaches_whoever_commits_and_the_session_goes_on(session: Session):
    done: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    after_commit(session, fail)
    after_commit(session, partial(done.append, "in spite of it"))
    with pytest.raises(ZeroDivisionError):
        session.commit()
    assert done.pop() == "in spite of it"
    after_commit(session, partial(done.append, "next"))
    session.commit()
    assert done == ["next"]


def test_anything_else_is_refused():
    with pytest.raises(InvalidEntry, match="must be a SQLAlchemy session"):
        after_commit(object(), print)

"""The middlewares that come with the package: log context, session, Sentry."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from celery.exceptions import Ignore, Retry
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from celery_pyncette import Pyncette, PyncetteError
from celery_pyncette.middleware.logs import LogContext
from celery_pyncette.middleware.sentry import sentry_labels
from celery_pyncette.middleware.sqlalchemy import SessionPerRun
from tests.middleware.shipped import DUE, PREFIXED, a_dispatch, run
from tests.worker.bench import Bench

# --- logs ---


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, Kept]]:
    made, kept = logging.getLogger("tests.shipped"), Kept()
    made.addHandler(kept)
    yield made, kept
    made.removeHandler(kept)


def said(record: logging.LogRecord) -> tuple[Any, ...]:
    return tuple(getattr(record, name, None) for name in ("entry", "due_at", "attempt"))


def test_each_record_of_a_run_has_entry_due_time_and_attempt(
    bench: Bench, pyncette: Pyncette, logger: tuple[logging.Logger, Kept]
):
    log, kept = logger
    pyncette.middleware(LogContext())

    def does() -> None:
        log.warning("within")
        log.warning("its own", extra={"entry": "another"})

    log.warning("before")
    assert run(bench, does) == "SUCCESS"
    log.warning("after")
    nothing = (None, None, None)
    assert [said(record) for record in kept.records] == [nothing, ("entry", DUE, 1), ("another", DUE, 1), nothing]
    assert run(bench, lambda: log.warning("ordinary"), scheduled=False) == "SUCCESS"
    assert said(kept.records[-1]) == nothing


def test_a_format_may_name_them_where_there_is_no_run(logger: tuple[logging.Logger, Kept]):
    from celery.signals import after_setup_logger

    log, kept = logger
    context = LogContext(missing="-")
    after_setup_logger.send(sender=None, logger=log)
    log.warning("hello")
    assert logging.Formatter("%(entry)s %(due_at)s %(attempt)s: %(message)s").format(kept.records[0]) == "- - -: hello"
    assert context.filter in kept.filters


def test_a_beat_logs_what_it_dispatches(bench: Bench, logger: tuple[logging.Logger, Kept]):
    log, kept = logger
    with LogContext()(a_dispatch(bench)):
        log.warning("sent")
    assert said(kept.records[0]) == ("entry", DUE, 1)


# --- SQLAlchemy ---


class Base(DeclarativeBase): ...


class Note(Base):
    __tablename__ = "notes"
    text: Mapped[str] = mapped_column(String(20), primary_key=True)


class Watched(Session):
    """Writes down how it was ended."""

    did: list[str] = []  # noqa: RUF012

    def commit(self) -> None:
        self.did.append("commit")
        super().commit()

    def rollback(self) -> None:
        self.did.append("rollback")
        super().rollback()

    def close(self) -> None:
        self.did.append("close")
        super().close()


@pytest.fixture
def sessions(tmp_path: Any) -> Iterator[SessionPerRun[Watched]]:
    engine = create_engine(f"sqlite:///{tmp_path}/notes.sqlite3")
    Base.metadata.create_all(engine)
    Watched.did = []
    yield SessionPerRun(sessionmaker(engine, class_=Watched))
    engine.dispose()


def notes(sessions: SessionPerRun[Watched]) -> list[str]:
    with sessions._make() as session:
        return list(session.scalars(select(Note.text)))


def test_a_session_is_committed_when_the_task_has_returned(
    bench: Bench, pyncette: Pyncette, sessions: SessionPerRun[Watched]
):
    pyncette.middleware(sessions)
    assert run(bench, lambda: sessions.current.add(Note(text="kept"))) == "SUCCESS"
    assert Watched.did == ["commit", "close"]
    assert notes(sessions) == ["kept"]
    with pytest.raises(PyncetteError, match="SessionPerRun is around"):
        _ = sessions.current


@pytest.mark.parametrize(
    ("error", "state"), [(KeyError("k"), "FAILURE"), (Retry("later"), "RETRY"), (Ignore(), "IGNORED")]
)
def test_it_is_rolled_back_when_the_task_raises(
    bench: Bench, pyncette: Pyncette, sessions: SessionPerRun[Watched], error: Exception, state: str
):
    pyncette.middleware(sessions)

    def does() -> None:
        sessions.current.add(Note(text="lost"))
        sessions.current.flush()
        raise error

    assert run(bench, does) == state
    assert Watched.did == ["rollback", "close"]
    assert notes(sessions) == []


def test_a_commit_that_fails_fails_the_task(bench: Bench, pyncette: Pyncette, sessions: SessionPerRun[Watched]):
    pyncette.middleware(sessions)
    with sessions._make() as session:
        session.add(Note(text="there"))
        session.commit()
    Watched.did.clear()
    assert run(bench, lambda: sessions.current.add(Note(text="there"))) == "FAILURE"
    assert Watched.did == ["commit", "rollback", "close"]
    assert "IntegrityError" in repr(bench.traced.info.retval)


# --- Sentry ---


class Sentry:
    """The real SDK, whose transport keeps what it would send."""

    def __init__(self, integrations: list[Any]) -> None:
        self.events: list[dict[str, Any]] = []
        kept = self.events

        class Transport(sentry_sdk.transport.Transport):
            def capture_envelope(self, envelope: Any) -> None:
                kept.extend(item.payload.json for item in envelope.items if item.payload.json is not None)

        self.client = sentry_sdk.Client(
            dsn="http://public@127.0.0.1:1/1",
            transport=Transport,
            traces_sample_rate=1.0,
            default_integrations=False,
            integrations=integrations,
        )

    def tags(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in event.get("tags", {}).items() if name.startswith("pyncette.")}
            for event in self.events
        ]


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    """Without the Celery integration, which cannot be taken back: a worker of its own has that."""
    made = Sentry([])
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(made.client)
        yield made
    made.client.close()


def test_sentrys_events_of_a_run_are_tagged_and_no_others(bench: Bench, pyncette: Pyncette, sentry: Sentry):
    pyncette.middleware(sentry_labels)
    assert run(bench, lambda: sentry_sdk.capture_message("within")) == "SUCCESS"
    sentry_sdk.capture_message("after")
    assert sentry.tags() == [PREFIXED, {}]
    assert run(bench, lambda: sentry_sdk.capture_message("ordinary"), scheduled=False) == "SUCCESS"
    assert sentry.tags()[-1] == {}


def test_sentrys_span_of_a_run_has_the_data(bench: Bench, pyncette: Pyncette, sentry: Sentry):
    pyncette.middleware(sentry_labels)
    with sentry_sdk.start_transaction(name="a worker"):
        assert run(bench, lambda: None) == "SUCCESS"
    (transaction,) = sentry.events
    assert PREFIXED.items() <= transaction["contexts"]["trace"]["data"].items()


def test_sentrys_events_of_a_dispatch_are_tagged(bench: Bench, sentry: Sentry):
    with sentry_labels(a_dispatch(bench)):
        sentry_sdk.capture_message("within")
    sentry_sdk.capture_message("after")
    assert sentry.tags() == [PREFIXED, {}]


@pytest.mark.parametrize(("module", "extra"), [("sentry", "sentry"), ("opentelemetry", "otel")])
def test_without_its_library_a_module_names_the_extra(module: str, extra: str, monkeypatch: pytest.MonkeyPatch):
    import importlib
    import sys

    from celery_pyncette import ConfigurationError

    name = f"celery_pyncette.middleware.{module}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, {"sentry": "sentry_sdk"}.get(module, module), None)
    with pytest.raises(ConfigurationError, match=rf"celery-pyncette\[{extra}\]"):
        importlib.import_module(name)

"""What passes the gate, what it costs, and what becomes of the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from celery import signals
from celery.app.task import Context
from celery.exceptions import Ignore, Reject

from celery_pyncette import current_occurrence, heartbeat, lease_lost
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Pause
from celery_pyncette.engine.holding import Labels
from celery_pyncette.worker import hooks, occurrence
from celery_pyncette.worker.active import ActiveRun
from celery_pyncette.worker.gate import Refused, pass_gate
from tests.worker.bench import Bench
from tests.worker.support import a_record, a_ticket, get, put


@pytest.fixture(autouse=True)
def hooked() -> None:
    hooks.connect()


@pytest.fixture
def bench() -> Bench:
    bench = Bench()

    @bench.task(name="note")
    def note(*args: Any) -> str:
        bench.did.append(current_occurrence())
        return "done"

    @bench.task(name="late", acks_late=True)
    def late() -> None:
        bench.did.append("late")

    return bench.ready()


def note(bench: Bench) -> Any:
    return bench.app.tasks["note"]


def test_a_run_costs_three_round_trips(bench: Bench):
    ticket = bench.run(note(bench))
    assert bench.store.calls == ["fetch", "apply", "apply"]
    assert bench.state == "SUCCESS"
    assert bench.outcome(ticket) == ("succeeded", None)
    assert bench.names() == ["RunStarted", "Reported"]
    (occurrence,) = bench.did
    run = bench.record(ticket).run
    assert run is not None
    assert (occurrence.entry, occurrence.attempt, occurrence.token) == ("entry", 1, run.token)
    assert occurrence.due_at.isoformat() == "1970-01-01T00:16:40+00:00"


def test_outside_of_a_run_nothing_is_known_and_nothing_happens():
    assert current_occurrence() is None
    assert lease_lost() is False
    heartbeat()


ORDINARY = {
    "no ticket": {},
    "not result-aware": {"pyncette": a_ticket(aware=False).as_header()},
    "somebody else's ticket, as groups and chords copy it": {"pyncette": a_ticket().as_header()},
}


@pytest.mark.parametrize("headers", ORDINARY.values(), ids=ORDINARY.keys())
def test_an_ordinary_task_never_touches_the_store(bench: Bench, headers: dict[str, Any]):
    assert bench.trace(note(bench), headers) == "SUCCESS"
    assert bench.did == [None]
    assert bench.store.calls == []
    assert bench.names() == []


FORGED = {
    "text": "ticket",
    "number": 7,
    "list": [1, 2],
    "no key": a_ticket().as_header() | {"key": ""},
    "huge key": a_ticket().as_header() | {"key": "k" * 601},
    "no lease": a_ticket().as_header() | {"lease_ms": 0},
    "a lease that is true": a_ticket().as_header() | {"lease_ms": True},
    "text for a number": a_ticket().as_header() | {"attempt": "1"},
    "fraction": a_ticket().as_header() | {"due_at": 1.5},
    "huge number": a_ticket().as_header() | {"due_at": 2**60},
    "unknown delivery": a_ticket().as_header() | {"delivery": "twice"},
    "delivery that cannot be hashed": a_ticket().as_header() | {"delivery": []},
    "newer format": a_ticket().as_header() | {"v": 2},
    "another namespace": a_ticket().as_header() | {"ns": "other"},
}


@pytest.mark.parametrize("header", FORGED.values(), ids=FORGED.keys())
def test_a_forged_ticket_is_refused_and_counted_and_raises_nothing(bench: Bench, header: Any):
    task_id = "forged"
    header = {**header, "task_id": task_id} if isinstance(header, dict) else header
    assert bench.trace(note(bench), {"pyncette": header}, task_id) == "IGNORED"
    assert bench.did == []
    assert bench.store.calls == []
    assert bench.names() == ["ForgedTicket"]


def test_unknown_fields_of_a_ticket_are_ignored(bench: Bench):
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    header = {**ticket.as_header(), "later": 1}
    assert bench.trace(note(bench), {"pyncette": header}, ticket.task_id) == "SUCCESS"


def test_what_may_not_start_is_dropped_and_counted(bench: Bench):
    for changes, reason in [
        ({"record": False}, "gone"),
        ({"gen": "g2"}, "replaced"),
        ({"due_at": Instant(5)}, "over"),
        ({"attempt": 1, "epoch": 3}, "epoch"),
    ]:
        ticket = a_ticket(f"entry-{reason}")
        if changes.pop("record", True):
            put(bench.store, a_record(ticket))
        asked = a_ticket(f"entry-{reason}", task_id=ticket.task_id, **changes)
        assert bench.trace(note(bench), {"pyncette": asked.as_header()}, ticket.task_id) == "IGNORED", reason
        assert bench.seen[-1].reason == reason
    assert bench.did == []


def test_a_paused_entry_starts_nothing(bench: Bench):
    ticket = a_ticket()
    put(bench.store, replace(a_record(ticket), paused=Pause()))
    assert bench.trace(note(bench), {"pyncette": ticket.as_header()}, ticket.task_id) == "IGNORED"
    assert bench.seen[-1].reason == "paused"


def test_a_second_delivery_is_refused_while_it_runs_and_after(bench: Bench):
    seen = []

    @bench.task(name="twice", bind=True)
    def twice(self: Any) -> None:
        seen.append(bench.trace(note(bench), {"pyncette": ticket.as_header()}, ticket.task_id))

    bench.ready()
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    bench.trace(twice, {"pyncette": ticket.as_header()}, ticket.task_id)
    assert seen == ["IGNORED"]
    assert bench.trace(note(bench), {"pyncette": ticket.as_header()}, ticket.task_id) == "IGNORED"
    assert bench.did == []
    assert [event.reason for event in bench.seen if hasattr(event, "reason")][-1] == "over"


def test_an_answer_that_was_lost_starts_it_once_all_the_same(bench: Bench):
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    bench.store.lose = 1
    assert bench.trace(note(bench), {"pyncette": ticket.as_header()}, ticket.task_id) == "SUCCESS"
    run = bench.record(ticket).run
    assert run is not None
    assert run.starts == 1
    assert bench.outcome(ticket) == ("succeeded", None)


def test_a_start_that_is_granted_too_late_is_asked_for_again(bench: Bench):
    slow = iter([4.0, 0.0])
    apply = bench.store.apply

    def slowly(*args: Any) -> Any:
        answer = apply(*args)
        bench.clock.sleep(next(slow, 0.0))
        return answer

    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    bench.store.calls.clear()
    bench.store.apply = slowly  # type: ignore[method-assign]
    assert bench.trace(note(bench), {"pyncette": ticket.as_header()}, ticket.task_id) == "SUCCESS"
    run = bench.record(ticket).run
    assert run is not None
    assert run.starts == 1, "the same nonce: no second start"
    assert bench.store.calls[:4] == ["fetch", "apply", "fetch", "apply"]


def test_with_the_store_away_an_acknowledged_message_is_left_to_the_beats(bench: Bench):
    bench.store.away = True
    assert bench.trace(note(bench), {"pyncette": a_ticket(task_id="x").as_header()}, "x") == "IGNORED"
    assert bench.store.calls == ["fetch"] * 2, "two tries"
    assert bench.names()[-1] == "GateStoreDown"
    assert bench.seen[-1].requeued is False
    assert bench.did == []


def test_with_the_store_away_a_late_one_goes_back_to_the_broker_after_some_seconds(bench: Bench):
    bench.store.away = True
    before = bench.clock.monotonic()
    assert bench.trace(bench.app.tasks["late"], {"pyncette": a_ticket(task_id="x").as_header()}, "x") == "REJECTED"
    assert 1.0 <= bench.clock.monotonic() - before < 6.0
    error = bench.traced[1].retval
    assert isinstance(error, Reject)
    assert error.requeue is True


def test_a_beat_with_another_store_at_least_once_is_run_without_a_lease(bench: Bench):
    assert bench.trace(note(bench), {"pyncette": a_ticket(task_id="x", store="theirs").as_header()}, "x") == "SUCCESS"
    assert bench.did[0].token is None
    assert bench.names() == ["ForeignTicket"]
    event: Any = bench.seen[-1]
    assert (event.ours, event.theirs, event.ran) == ("the-store", "theirs", True)


def test_a_beat_with_another_store_at_most_once_is_refused(bench: Bench):
    header = a_ticket(task_id="x", store="theirs", delivery="at_most_once").as_header()
    assert bench.trace(note(bench), {"pyncette": header}, "x") == "IGNORED"
    assert bench.did == []
    assert bench.names() == ["ForeignTicket"]


def test_a_store_that_was_founded_again_is_not_foreign(bench: Bench):
    bench.office._store_id = "of before"
    bench.run(note(bench))
    assert bench.state == "SUCCESS"
    assert bench.store.calls[0] == "prepare"


def test_a_message_whose_request_is_not_ours_is_kept_alive_by_the_process_that_runs_it(bench: Bench):
    @bench.task(name="alone")
    def alone() -> None:
        bench.clock.advance(2.0)
        bench.office.keeper.step()
        lease = bench.record(ticket).lease
        assert lease is not None
        bench.did.append(lease.until - bench.clock.now())

    bench.ready()
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    headers = {"pyncette": ticket.as_header()}
    assert bench.trace(alone, headers, ticket.task_id, delivery_info={}) == "SUCCESS"
    assert bench.did == [ticket.lease_ms]
    assert not bench.office.keeper.busy


def test_a_direct_call_of_another_task_asks_for_nothing(bench: Bench):
    @bench.task(name="outer", bind=True)
    def outer(self: Any) -> str:
        return str(bench.app.tasks["note"]())

    bench.ready()
    bench.run(outer)
    assert bench.state == "SUCCESS"
    assert bench.store.calls == ["fetch", "apply", "apply"]
    assert bench.did[0] is not None, "it is part of the same run"


def test_an_eager_task_is_an_ordinary_one(bench: Bench):
    ticket = a_ticket()
    result = note(bench).apply(task_id=ticket.task_id, headers={"pyncette": ticket.as_header()})
    assert result.state == "SUCCESS"
    assert bench.store.calls == []


class Raised(Exception):
    pass


def ends(bench: Bench, error: BaseException | None, **options: Any) -> Any:
    @bench.task(name="ends", bind=True, **options)
    def ends(self: Any) -> None:
        if error is not None:
            raise error

    bench.ready()
    return bench.run(ends)


def test_what_raised_has_failed(bench: Bench):
    ticket = ends(bench, Raised("so"))
    assert (bench.state, *bench.outcome(ticket)) == ("FAILURE", "failed", None)


def test_what_was_ignored_has_failed_and_is_never_retried(bench: Bench):
    ticket = ends(bench, Ignore())
    assert (bench.state, *bench.outcome(ticket)) == ("IGNORED", "failed", "ignored")


def test_what_was_rejected_has_failed_and_is_never_retried(bench: Bench):
    ticket = ends(bench, Reject("so"))
    assert (bench.state, *bench.outcome(ticket)) == ("REJECTED", "failed", "rejected")


def test_what_was_requeued_is_open_again_for_the_same_message(bench: Bench):
    ticket = ends(bench, Reject("so", requeue=True), acks_late=True)
    run = bench.record(ticket).run
    assert run is not None
    assert run.is_open
    assert run.retries == 0
    assert run.until == 2_000_000 + ticket.start_within
    assert bench.trace(note(bench), {"pyncette": ticket.as_header()}, ticket.task_id) == "SUCCESS"
    assert bench.outcome(ticket) == ("succeeded", None)


@pytest.mark.parametrize("automatic", [False, True], ids=["self.retry", "autoretry_for"])
def test_a_retry_opens_the_run_again_for_one_more_retry(bench: Bench, automatic: bool):
    options = {"autoretry_for": (Raised,), "retry_backoff": 40, "retry_jitter": False} if automatic else {}

    @bench.task(name="retries", bind=True, **options)
    def retries(self: Any) -> None:
        bench.did.append(self.request.retries)
        if self.request.retries == 0:
            raise Raised if automatic else self.retry(countdown=40)

    bench.app.conf.task_always_eager = False
    bench.ready()
    ticket = bench.run(retries)
    assert bench.state == "RETRY"
    run = bench.record(ticket).run
    assert run is not None
    assert run.is_open
    assert run.retries == 1
    assert run.until == 2_000_000 + 40_000 + ticket.start_within
    assert bench.trace(retries, {"pyncette": ticket.as_header()}, ticket.task_id) == "IGNORED", "not the retry"
    assert bench.trace(retries, {"pyncette": ticket.as_header()}, ticket.task_id, retries=1) == "SUCCESS"
    assert bench.did == [0, 1]
    assert bench.outcome(ticket) == ("succeeded", None)


def test_a_retry_that_is_faster_than_the_report_is_handed_over(bench: Bench):
    @bench.task(name="retries", bind=True)
    def retries(self: Any) -> None:
        bench.did.append(self.request.retries)
        if self.request.retries == 0:
            state = bench.trace(retries, {"pyncette": ticket.as_header()}, ticket.task_id, retries=1)
            assert state == "SUCCESS"
            self.retry(countdown=0)

    bench.ready()
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    bench.trace(retries, {"pyncette": ticket.as_header()}, ticket.task_id)
    assert bench.did == [0, 1]
    assert bench.outcome(ticket) == ("succeeded", None)
    assert "ReportDropped" not in bench.names()


@contextlib.contextmanager
def sent_messages() -> Iterator[list[dict[str, Any]]]:
    """The headers of the messages that are sent meanwhile."""
    sent: list[dict[str, Any]] = []

    def note_headers(headers: Any = None, **_: Any) -> None:
        sent.append(headers)

    signals.after_task_publish.connect(note_headers)
    try:
        yield sent
    finally:
        signals.after_task_publish.disconnect(note_headers)


def replacement(bench: Bench, what: Callable[[Any], Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Run a task that puts something in its own place; its ticket, and the headers of what was sent meanwhile."""

    @bench.task(name="replaced", bind=True)
    def replaced(self: Any) -> None:
        raise self.replace(what(bench.app.tasks["note"]))

    bench.ready()
    with sent_messages() as sent:
        ticket = bench.run(replaced)
    assert bench.state == "IGNORED"
    return ticket, sent


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_what_was_replaced_ends_as_its_replacement_does(bench: Bench, outcome: str):
    @bench.task(name="fails")
    def fails() -> None:
        raise Raised

    task = note(bench) if outcome == "succeeded" else fails
    ticket, (headers,) = replacement(bench, lambda _: task.si())
    run = bench.record(ticket).run
    assert run is not None
    assert run.is_open
    assert run.until == 2_000_000 + ticket.start_within
    old = {"pyncette": ticket.as_header()}
    assert bench.trace(bench.app.tasks["replaced"], old, ticket.task_id) == "IGNORED", "a copy of what was replaced"
    assert bench.did == []
    new = {name: headers[name] for name in ("pyncette", "periodic_task_name", "replaced_task_nesting")}
    bench.trace(task, new, ticket.task_id)
    assert bench.outcome(ticket) == (outcome, None)
    run = bench.record(ticket).run
    assert run is not None
    assert (run.attempt, run.starts) == (1, 2)


def test_a_replacement_may_have_a_countdown_and_be_retried(bench: Bench):
    @bench.task(name="retries", bind=True)
    def retries(self: Any) -> str:
        if self.request.retries == 0:
            raise self.retry(countdown=1)
        return "done"

    ticket, (headers,) = replacement(bench, lambda _: retries.si().set(countdown=40))
    run = bench.record(ticket).run
    assert run is not None
    waits = run.until - 2_000_000 - ticket.start_within
    assert waits > 0
    new = {name: headers[name] for name in ("pyncette", "periodic_task_name", "replaced_task_nesting")}
    assert bench.trace(retries, new, ticket.task_id) == "RETRY"
    assert bench.trace(retries, new, ticket.task_id) == "IGNORED", "its first message once more"
    assert bench.trace(retries, new, ticket.task_id, retries=1) == "SUCCESS"
    assert bench.outcome(ticket) == ("succeeded", None)


def test_a_replacement_that_is_faster_than_the_report_is_handed_over(bench: Bench):
    @bench.task(name="replaced", bind=True)
    def replaced(self: Any) -> None:
        try:
            self.replace(bench.app.tasks["note"].si())
        except Ignore:
            new = {"pyncette": replace(ticket, replaced=1).as_header()}
            assert bench.trace(bench.app.tasks["note"], new, ticket.task_id) == "SUCCESS"
            raise

    bench.ready()
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    bench.trace(replaced, {"pyncette": ticket.as_header()}, ticket.task_id)
    assert bench.outcome(ticket) == ("succeeded", None)
    assert "ReportDropped" not in bench.names()


def test_what_a_chain_has_replaced_has_succeeded(bench: Bench):
    ticket, sent = replacement(bench, lambda note: note.si(1) | note.si(2))
    assert "pyncette" not in sent[0]
    assert bench.outcome(ticket) == ("succeeded", None)


def test_other_messages_that_a_run_sends_are_ordinary_ones(bench: Bench):
    @bench.task(name="sends", bind=True)
    def sends(self: Any) -> None:
        note(bench).delay()
        note(bench).apply_async(task_id=self.request.id)

    bench.ready()
    with sent_messages() as sent:
        ticket = bench.run(sends)
    assert len(sent) == 2
    assert not any("pyncette" in headers for headers in sent)
    assert bench.outcome(ticket) == ("succeeded", None)


def test_a_run_whose_end_nobody_told_is_not_the_next_tasks(bench: Bench):
    """A thread whose task raised SystemExit goes on with another one."""
    occurrence.enter(ActiveRun(a_ticket(), Labels("entry", "t"), None, lambda: bench.store, bench.clock))
    assert bench.trace(note(bench), {}) == "SUCCESS"
    assert bench.did == [None]


def test_who_swallows_a_refusal_is_refused_again(bench: Bench):
    request = Context(id="x", pyncette=a_ticket(task_id="x").as_header(), delivery_info={}, called_directly=False)
    for _ in range(2):
        with pytest.raises(Refused, match="gone"):
            pass_gate(note(bench), request)


def test_a_report_waits_for_the_store(bench: Bench):
    @bench.task(name="outage")
    def outage() -> None:
        bench.store.away = True

    bench.ready()
    ticket = bench.run(outage)
    assert bench.state == "SUCCESS"
    bench.store.away = False
    bench.clock.advance(1.0)
    bench.office.keeper.step()
    assert bench.outcome(ticket) == ("succeeded", None)
    assert get(bench.store, ticket.key).lease is None


def test_a_late_report_of_a_run_that_was_taken_over_is_dropped(bench: Bench):
    @bench.task(name="stalls")
    def stalls() -> None:
        record = bench.record(ticket)
        assert record.run is not None
        opened = replace(record.run, attempt=2, started_at=None, nonce=None, token=None)
        from celery_pyncette.core.records import Write
        from celery_pyncette.stores.writes import change_of

        bench.store.apply([change_of(record.key, record, Write(record=replace(record, run=opened, lease=None)))])
        bench.clock.sleep(10.0)
        bench.did.append(lease_lost())

    bench.ready()
    ticket = a_ticket()
    put(bench.store, a_record(ticket))
    bench.trace(stalls, {"pyncette": ticket.as_header()}, ticket.task_id)
    assert bench.did == [True]
    assert bench.names()[-1] == "ReportDropped"
    assert bench.record(ticket).run.is_open  # type: ignore[union-attr]

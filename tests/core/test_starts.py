"""What a worker may write: the clauses of START, RENEW and REPORT that no other test takes one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Lane, Lease, Outcome, Record, Token
from celery_pyncette.core.starts import Delivery, Granted, Refusal, renew, report, report_retry, start
from tests.worker.support import a_record, a_ticket

NOW = Instant(2_000_000)
TICKET = a_ticket(task_id="id")
RUNNING: dict[str, Any] = {"started_at": NOW, "starts": 1, "token": Token(9), "nonce": "other", "worker": "w"}


def asked(record: Record, retries: int = 0, task_id: str = "id", **ticket: Any) -> Granted | Refusal:
    delivery = Delivery(ticket=replace(TICKET, **ticket), task_id=task_id, retries=retries, nonce="n", worker="w@h")
    return start(record, delivery, NOW)


def granted(record: Record, **asks: Any) -> Record:
    answer = asked(record, **asks)
    assert isinstance(answer, Granted), answer
    assert answer.write.record is not None
    return answer.write.record


def test_what_a_start_writes_and_what_it_leaves():
    before = replace(a_record(TICKET, until=Instant(7), poll_at=Instant(8)), token=Token(3))
    answer = asked(before)
    assert isinstance(answer, Granted)
    after = answer.write.record
    assert after is not None
    assert after.run is not None
    assert (after.run.token, after.token, answer.token) == (NOW, NOW, NOW)
    assert (after.run.started_at, after.run.worker, after.run.nonce, after.run.starts) == (NOW, "w@h", "n", 1)
    assert (after.run.until, after.run.poll_at, answer.write.lease_for) == (NEVER, NEVER, TICKET.lease_ms)
    assert (after.due_at, after.counters) == (before.due_at, before.counters)


def test_a_token_only_grows_whatever_the_clock_says():
    ahead = replace(a_record(TICKET), token=Token(NOW + 500))
    assert granted(ahead).token == NOW + 501


@pytest.mark.parametrize("owner", ["a beat", ""])
def test_it_looks_at_no_claim(owner: str):
    """A beat that still marks must not keep the run from starting."""
    granted(replace(a_record(TICKET), lease=Lease(owner=owner, until=Instant(NOW + 10_000))))


@pytest.mark.parametrize(("starts", "deadline", "may"), [(0, NOW, False), (0, NOW + 1, True), (1, NOW, True)])
def test_a_deadline_is_for_the_first_start(starts: int, deadline: int, may: bool):
    """What was started once is retried however late: its deadline was to start by."""
    answer = asked(a_record(TICKET, deadline=Instant(deadline), starts=starts))
    assert isinstance(answer, Granted) if may else answer is Refusal.DEADLINE


@pytest.mark.parametrize(
    ("retries", "task_id", "may"), [(1, "id", True), (1, "another", False), (0, "id", False), (2, "id", False)]
)
def test_a_retry_that_comes_before_the_report_of_its_predecessor_is_handed_over(retries: int, task_id: str, may: bool):
    """It has the same task id; anything else that looks so is a copy of another attempt."""
    answer = asked(a_record(TICKET, **RUNNING), retries=retries, task_id=task_id)
    assert isinstance(answer, Granted) if may else answer is Refusal.RUNNING


@pytest.mark.parametrize(("attempt", "may"), [(1, False), (2, True)])
def test_a_retry_of_another_attempt_of_a_parked_message_is_not_handed_over(attempt: int, may: bool):
    """All attempts have the id that the caller was given."""
    parked = replace(a_record(TICKET, attempt=2, unstarted=1, **RUNNING), lane=Lane.DELAYED)
    answer = asked(parked, retries=1, attempt=attempt)
    assert isinstance(answer, Granted) if may else answer is Refusal.RUNNING


@pytest.mark.parametrize(("attempt", "may"), [(1, False), (2, True), (3, True)])
def test_a_copy_of_an_attempt_that_nobody_started_may_start_and_one_of_an_ended_attempt_not(attempt: int, may: bool):
    answer = asked(a_record(TICKET, attempt=3, unstarted=1), attempt=attempt)
    assert isinstance(answer, Granted) if may else answer is Refusal.SUPERSEDED


@pytest.mark.parametrize("change", [{"epoch": 1}, {"run": None}, {"token": 8}, {"outcome": Outcome.FAILED}], ids=str)
def test_without_the_token_of_a_run_that_goes_on_nothing_is_written(change: dict[str, Any]):
    record, token = a_record(TICKET, **RUNNING), Token(change.get("token", 9))
    assert renew(record, Token(9), 5, 0) is not None
    if "outcome" in change:
        record = a_record(TICKET, **RUNNING, outcome=change["outcome"])
    elif "token" not in change:
        record = replace(record, **change)
    assert renew(record, token, 5, 0) is None
    assert report(record, token, Outcome.SUCCEEDED, NOW, 0) is None
    assert report_retry(record, token, NOW, 5, NOW, 0) is None


@pytest.mark.parametrize("change", [{"generation": "new"}, {"removed": True}], ids=str)
def test_an_edit_of_the_entry_stops_neither_renewal_nor_report(change: dict[str, Any]):
    record = replace(a_record(TICKET, **RUNNING), **change)
    assert renew(record, Token(9), 5, 0) is not None
    assert report(record, Token(9), Outcome.SUCCEEDED, NOW, 0) is not None

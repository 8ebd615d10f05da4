"""What the state machine answers: what to write, what to send, and what is known about a message."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Occurrence, Outcome, Pause, Record, Run, Skip, Write
from celery_pyncette.core.taking import Skips, Taken


class Sent(enum.Enum):
    """What is known about one message after its publish."""

    SENT = "sent"
    """The broker has it."""
    FAILED = "failed"
    """It certainly was not sent."""
    UNSURE = "unsure"
    """The answer was lost: it may have been sent."""
    UNBUILDABLE = "unbuildable"
    """No such message can be built, now or later."""
    VETOED = "vetoed"
    """A middleware did not let it be sent, and it is not to be tried again."""

    @property
    def skips(self) -> Skip | None:
        """Why its occurrence will never run, if that is what it means."""
        return _SKIPS.get(self)


_SKIPS = {Sent.UNBUILDABLE: Skip.PUBLISH_FAILED, Sent.VETOED: Skip.VETOED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a publisher answers about one message: what is known, when, by which beat, and the error if any.

    ``error`` of a vetoed one is the reason that the middleware gave.
    """

    sent: Sent
    task_id: str
    at: Instant = Instant(0)
    beat: str = ""
    error: str | None = None


class Settle(enum.Enum):
    """What follows a publish."""

    ADVANCE = "advance"
    """At least once: now the occurrence is used up."""
    ADVANCED = "advanced"
    """At most once: it was used up before; a certain failure puts it back."""
    MARK = "mark"
    """Result-aware: note that the attempt is on its way."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A run is over, or an occurrence was given up."""

    due_at: Instant
    outcome: Outcome
    attempt: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do about one record: write ``first`` if set, and if that was APPLIED send ``send`` and settle.

    ``expected`` occurrences are taken up by it, ``skips`` of them will not run; ``ended`` says that a
    run is over, ``again`` that it was lost or failed and will be dispatched again, ``unstarted`` that nobody
    started it in time (the run as it was), ``pause`` that its failure pauses the entry: the write does that, but
    the parent of a one-shot is to be paused first.
    """

    record: Record
    first: Write | None = None
    send: Occurrence | None = None
    settle: Settle | None = None
    taken: Taken | None = None
    skips: Skips | None = None
    ended: Ended | None = None
    again: Ended | None = None
    unstarted: Run | None = None
    pause: Pause | None = None


class Backend(enum.Enum):
    """What a result backend says about a run's attempts."""

    SUCCESS = "SUCCESS"
    """One of them returned."""
    FAILURE = "FAILURE"
    """One of them raised for good."""
    STARTED = "STARTED"
    """One of them is being worked on, or will be retried."""
    REVOKED = "REVOKED"
    """Somebody revoked one of them. A copy that expired is no such: it will not start, and that is all."""


def release(record: Record) -> Plan:
    """Nothing to do but to give the lease back."""
    return Plan(record=record, first=Write(record=replace(record, lease=None)))

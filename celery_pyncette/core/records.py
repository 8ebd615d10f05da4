"""The types that flow through every room: entries, records, runs, leases, tickets."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import Policy
from celery_pyncette.core.schedules import Jitter, Once, Schedule

Key = NewType("Key", str)
Token = NewType("Token", int)

#: The owner of a lease that only holds a record back.
NOBODY = ""


class Lane(enum.IntEnum):
    """Slices of the ready index that never wait for one another."""

    ENTRIES = 0
    """Static and dynamic entries and their one-shots."""
    DELAYED = 1
    """Parked messages."""
    KEEPING = 2
    """Presence, manifests and meta; never claimed."""


class Origin(str, enum.Enum):
    """Who wrote the definition."""

    STATIC = "static"
    """``beat_schedule`` of the application."""
    DYNAMIC = "dynamic"
    """``schedule_task()`` at run time."""
    DELAYED = "delayed"
    """A message with an ETA."""
    KEEPING = "keeping"
    """The package itself."""


class Outcome(str, enum.Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    """The task returned."""
    FAILED = "failed"
    """The task raised, or passed its time limit."""
    ABANDONED = "abandoned"
    """Its worker was lost, or its lease ended, with no outcome."""
    REVOKED = "revoked"
    """Somebody revoked it."""
    SKIPPED = "skipped"
    """The task was not run; the reason says why."""


class Skip(str, enum.Enum):
    """Why an occurrence will not run."""

    POLICY = "policy"
    """The catch-up policy or its grace left it out."""
    DEADLINE = "deadline"
    """Its ``expires`` passed first."""
    OVERLAP = "overlap"
    """The previous run was still going on."""
    PAUSED = "paused"
    """It passed while the entry was paused."""
    EPOCH = "epoch"
    """The store lost writes in a failover."""
    REPLACED = "replaced"
    """Its definition was replaced or removed."""
    NEVER_STARTED = "never_started"
    """It was sent, or may have been, and nobody started it."""
    PUBLISH_FAILED = "publish_failed"
    """Its message cannot be built."""
    VETOED = "vetoed"
    """A middleware around its dispatch did not let it be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySpec:
    """What the user wrote; no run state.

    ``schedule`` is None in the thin record of a static entry, whose schedule, args, kwargs and
    options stay in the configuration of the beats; ``description`` then says it for people.
    *Timing* is schedule, timezone, start, end, jitter; *payload* is the rest.
    """

    name: str
    task: str
    origin: Origin
    schedule: Schedule | None = None
    description: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    timezone: str | None = None
    start: Instant | None = None
    end: Instant | None = None
    max_runs: int | None = None
    jitter: Jitter | None = None
    policy: Policy | None = None
    tenant: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may act on a record, and until when by the store's clock."""

    owner: str
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The run in flight.

    *Open*: not started, no outcome. *Running*: started, no outcome. *Reported*: it has an outcome.
    ``attempt`` counts dispatches and is part of the task id; ``unstarted`` those in a row that
    nobody started; ``failures`` failed starts; ``starts`` all starts; ``retries`` is the Celery
    retry count that the next START must show. ``dispatched_at`` is set once a publish is confirmed,
    ``until`` says when a beat looks at an open run again. ``replan``: the definition was replaced
    meanwhile with its schedule unchanged.
    """

    due_at: Instant
    generation: str
    attempt: int = 1
    unstarted: int = 0
    failures: int = 0
    starts: int = 0
    retries: int = 0
    task_id: str = ""
    deadline: Instant | None = None
    dispatched_at: Instant | None = None
    until: Instant = NEVER
    poll_at: Instant = NEVER
    nonce: str | None = None
    token: Token | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    worker: str | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    replan: bool = False

    @property
    def is_open(self) -> bool:
        return self.started_at is None and self.outcome is None

    @property
    def is_running(self) -> bool:
        return self.started_at is not None and self.outcome is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An entry at rest: why, until when (``NEVER``: until resumed), and what of the missed runs then."""

    note: str = ""
    until: Instant = NEVER
    catch_up: str | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """Occurrences of one record's life: ``expected = started + skipped + open``.

    An overlapping result-aware entry counts an occurrence as started when it hands it to a record of its own.
    """

    expected: int = 0
    started: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """One line of run history."""

    due_at: Instant
    outcome: str
    attempt: int = 1
    task_id: str = ""
    dispatched_at: Instant | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    beat: str = ""
    worker: str | None = None
    reason: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing that a store keeps.

    A store reads ``key``, ``lane``, ``ready_at``; compares and raises ``generation``, ``version``,
    ``token``, ``write_id``, ``lease``; and understands nothing else. ``timing`` and ``payload`` are
    the fingerprints of the two halves of ``spec``. ``due_at`` is the next occurrence that no run
    has taken up, ``NEVER`` when there is none. ``dead`` is the time at which a dead letter is
    deleted. ``data`` holds what presence, manifests and meta say, ``body`` a parked message.
    """

    key: Key
    lane: Lane
    generation: str
    spec: EntrySpec
    timing: str = ""
    payload: str = ""
    created_at: Instant = Instant(0)
    anchor: Instant = Instant(0)
    due_at: Instant = NEVER
    run: Run | None = None
    lease: Lease | None = None
    paused: Pause | None = None
    removed: bool = False
    dead: Instant | None = None
    version: int = 0
    token: Token = Token(0)
    write_id: str = ""
    epoch: int = 0
    counters: Counters = Counters()
    recent: tuple[Recent, ...] = ()
    data: Mapping[str, Any] | None = None
    body: bytes | None = None

    @property
    def one_shot(self) -> bool:
        """Whether it is gone after one occurrence."""
        return self.key[:2] in ("o:", "e:") or isinstance(self.spec.schedule, Once)

    @property
    def ready_at(self) -> Instant:
        """The earliest time at which a store may hand it out; the first line that fits decides."""
        run = self.run
        if self.lease is not None:
            return self.lease.until
        if run is None:
            return self._ready_at_rest()
        if run.outcome is not None:
            return Instant(0)
        if run.started_at is not None:
            return NEVER  # running without a lease is never written; nothing could renew it
        if self.removed or run.generation != self.generation:
            return Instant(0)
        if self.paused is not None:
            return self.paused.until
        if run.dispatched_at is None:
            return run.until
        return min(run.until, run.poll_at)

    def _ready_at_rest(self) -> Instant:
        if self.removed:
            return Instant(0)
        if self.dead is not None:
            return self.dead
        if self.paused is not None:
            return max(self.paused.until, self.due_at)
        return self.due_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What to put in the place of a record; ``record`` None deletes it.

    ``lease_for`` (milliseconds): the store ends the lease of ``record.lease.owner`` that much after
    its own now. ``creates``: records made with this write or not at all.
    """

    record: Record | None
    lease_for: int | None = None
    creates: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One planned firing; its Celery task id follows from it."""

    key: Key
    generation: str
    due_at: Instant
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a message carries to ask for its START: the header ``pyncette``.

    A gate acts only if ``aware``, and only if ``task_id`` is the message's own: groups, chords and
    ``replace`` copy headers. Durations are milliseconds. ``replaced``: a task of this run has put the
    message in its own place (``Task.replace``); so many Celery retries came before its first one.
    """

    ns: str
    store: str
    key: Key
    gen: str
    due_at: Instant
    attempt: int
    task_id: str
    aware: bool
    delivery: str
    epoch: int = 0
    lease_ms: int = 0
    deadline: Instant | None = None
    start_within: int = 0
    max_run: int = 0
    on_lease_lost: str = "warn"
    heartbeat: str = "automatic"
    replaced: int = 0
    v: int = 1

    def as_header(self) -> dict[str, Any]:
        """Plain data for a message header; what is zero, empty or unset is left out."""
        header = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in header.items() if value}

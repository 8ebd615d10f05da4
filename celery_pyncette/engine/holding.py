"""A run in a worker's hands: start it, keep it, look whether it is still there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from celery_pyncette.clock import Clock
from celery_pyncette.core import starts
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Record, Token, Write
from celery_pyncette.core.starts import Delivery, Granted, Refusal
from celery_pyncette.engine.errands import carry_out
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import change_of

#: A START that is granted too late is asked for again this often.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Labels:
    """What people call a run."""

    entry: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A run that this process has started.

    ``record`` is as it was last written or read. Until ``deadline`` (monotonic seconds, counted from
    before the request) the lease is certainly ours; ``now`` was the store's time at ``at``.
    """

    delivery: Delivery
    labels: Labels
    record: Record
    token: Token
    deadline: float
    now: Instant
    at: float

    def store_now(self, monotonic: float) -> Instant:
        """The store's time as far as this process can tell without asking."""
        return Instant(self.now + int((monotonic - self.at) * 1000))


def start_run(store: Store, clock: Clock, delivery: Delivery, labels: Labels) -> Holding | Refusal:
    """START: two round trips if nobody comes in between.

    :raises StoreUnavailable: also if the store takes so long that each lease is over when it is granted.
    """
    key = delivery.ticket.key
    for _ in range(_TRIES):
        fetched = store.fetch([key])
        record = fetched.records[0]
        decided = starts.start(record, delivery, fetched.now)
        if not isinstance(decided, Granted):
            return decided
        assert decided.write.record is not None
        asked_at = clock.monotonic()
        applied = store.apply([change_of(key, record, decided.write)])
        deadline = asked_at + delivery.ticket.lease_ms / 1000
        if applied.written[0].verdict is Verdict.APPLIED and clock.monotonic() < deadline:
            return Holding(
                delivery=delivery,
                labels=labels,
                record=replace(decided.write.record, version=applied.written[0].version),
                token=decided.token,
                deadline=deadline,
                now=applied.now,
                at=asked_at,
            )
    raise StoreUnavailable(f"no START of {key!r} was granted in time")


@dataclass(slots=True, kw_only=True)
class Renewal:
    """RENEW of one holding as an errand; ``lost`` afterwards, or ``deadline`` is the new one."""

    token: Token
    lease_ms: int
    epoch: int
    key: Key
    known: Record | None
    deadline: float = 0.0
    lost: bool = False

    def decide(self, record: Record | None, now: Instant | None, asked_at: float) -> Write | None:
        del now, asked_at
        write = starts.renew(record, self.token, self.lease_ms, self.epoch)
        self.lost = write is None
        return write

    def wrote(self, record: Record, asked_at: float) -> None:
        del record
        self.deadline = asked_at + self.lease_ms / 1000


def renewed(store: Store, clock: Clock, holding: Holding) -> Holding | None:
    """RENEW: one round trip, or None if the lease is lost."""
    ticket = holding.delivery.ticket
    renewal = Renewal(
        token=holding.token, lease_ms=ticket.lease_ms, epoch=ticket.epoch, key=ticket.key, known=holding.record
    )
    carry_out(store, clock, [renewal])
    if renewal.lost or renewal.known is None:
        return None
    return replace(holding, record=renewal.known, deadline=renewal.deadline)


def looked_at(store: Store, clock: Clock, holding: Holding) -> Holding | None:
    """The holding as the store has it now; None if the lease is lost. Writes nothing."""
    ticket, asked_at = holding.delivery.ticket, clock.monotonic()
    fetched = store.fetch([ticket.key])
    record = fetched.records[0]
    if record is None or not starts.holds(record, holding.token, ticket.epoch):
        return None
    left = 0 if record.lease is None else record.lease.until - fetched.now
    return replace(holding, record=record, deadline=asked_at + left / 1000, now=fetched.now, at=asked_at)

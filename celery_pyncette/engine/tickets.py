"""From a decision to a message."""

from __future__ import annotations

from celery_pyncette.core.attempts import message_expiry, task_id
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Occurrence, Origin, Record, Ticket
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.parking import identity
from celery_pyncette.engine.publisher import Outgoing


def outgoing(
    namespace: str, store_id: str, record: Record, occurrence: Occurrence, meaning: Meaning, now: Instant
) -> Outgoing:
    """The message of one occurrence, with its ticket; only a result-aware one asks for a START.

    A run that was begun as result-aware ends so, whatever its entry has become meanwhile.
    """
    rules, run = meaning.rules, record.run
    aware = run is not None
    ticket = Ticket(
        ns=namespace,
        store=store_id,
        key=record.key,
        gen=occurrence.generation,
        due_at=occurrence.due_at,
        attempt=occurrence.attempt,
        # A parked message that is followed keeps the id that its caller was given, through all attempts.
        task_id=identity(record.key)[0]
        if aware and record.spec.origin is Origin.DELAYED
        else task_id(namespace, occurrence, aware),
        aware=aware,
        delivery=rules.delivery.value,
        epoch=record.epoch,
        lease_ms=rules.lease if aware else 0,
        deadline=None if run is None else run.deadline,
        start_within=rules.start_within if aware else 0,
        max_run=rules.max_run if aware else 0,
        on_lease_lost=rules.on_lease_lost.value if aware else "",
        heartbeat=rules.heartbeat.value if aware else "",
    )
    return Outgoing(
        record=record,
        spec=meaning.spec,
        ticket=ticket,
        rules=rules,
        due_at=occurrence.due_at,
        expires_in=None if run is None else message_expiry(run, now, rules),
    )

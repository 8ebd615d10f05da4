"""How the engine hands messages to a broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.plans import Receipt
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import EntrySpec, Record, Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to be sent: the entry as it is now, the ticket, and when it was due.

    ``expires_in``: of a result-aware message, in milliseconds from now; None: never.
    """

    record: Record
    spec: EntrySpec
    ticket: Ticket
    rules: Rules
    due_at: Instant
    expires_in: int | None = None


class Publisher(Protocol):
    """The broker's side of a dispatch."""

    def ready(self) -> bool:
        """Whether there is a working connection; tries to make one, in bounded time. Never raises."""

    def send_batch(self, messages: Sequence[Outgoing], receipts: list[Receipt]) -> None:
        """Send in order, and append one receipt for each as soon as its fate is known.

        Never raises for a message that fails. If it is interrupted (SystemExit), it appends FAILED
        for what it knows that it had not begun, in order, and UNSURE for what it had; whatever has
        no receipt then may have been sent.
        """

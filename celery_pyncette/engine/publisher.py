"""How the engine hands messages to a broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.lifecycle import Receipt
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import EntrySpec, Record, Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to be sent: the entry as it is now, the ticket, and when it was due."""

    record: Record
    spec: EntrySpec
    ticket: Ticket
    rules: Rules
    due_at: Instant


class Publisher(Protocol):
    """The broker's side of a dispatch."""

    def ready(self) -> bool:
        """Whether there is a working connection; tries to make one, in bounded time. Never raises."""

    def send_batch(self, messages: Sequence[Outgoing], in_time: Callable[[], bool]) -> Sequence[Receipt]:
        """Send in order; one receipt each, in the same order. Never raises for a message that fails.

        ``in_time`` is asked before each chunk that is handed over; once it answers False the rest is
        not sent: the answer is shorter than the messages.
        """

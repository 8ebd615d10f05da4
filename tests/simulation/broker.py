"""The broker's side: messages arrive, are refused, or vanish with their answer; each is one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from celery_pyncette.core.plans import Receipt, Sent
from celery_pyncette.engine.publisher import Outgoing
from tests.simulation.ledger import Ledger
from tests.simulation.world import World


class SimPublisher:
    """See `engine.publisher.Publisher`. ``unbuildable`` are names of entries whose message can never be made."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        owner: str,
        unbuildable: frozenset[str] = frozenset(),
        step: Callable[[], None] | None = None,
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._owner = owner
        self._unbuildable = unbuildable
        self._step = step or (lambda: world.step(owner))

    def ready(self) -> bool:
        away = self._world.broker_away()
        if away:
            self._world.note(self._owner)
        return not away

    def send_batch(self, messages: Sequence[Outgoing], receipts: list[Receipt]) -> None:
        for number, message in enumerate(messages):
            self._step()
            if self._world.chance(self._world.faults.stop):
                self._world.note(self._owner)
                receipts.extend(_receipt(later, Sent.FAILED) for later in messages[number:])
                raise SystemExit
            receipts.append(_receipt(message, self._send(message)))

    def _send(self, message: Outgoing) -> Sent:
        world = self._world
        if message.spec.name in self._unbuildable:
            world.note(self._owner)
            return Sent.UNBUILDABLE
        if world.vetoes():
            self._ledger.vetoed(self._owner, message)
            return Sent.VETOED
        if world.broker_away() or world.chance(world.faults.publish_fails):
            world.note(self._owner)
            return Sent.FAILED
        if world.chance(world.faults.publish_unsure):
            world.note(self._owner)
            if world.rng.random() < 0.5:
                self._arrived(message)
            return Sent.UNSURE
        self._arrived(message)
        return Sent.SENT

    def _arrived(self, message: Outgoing) -> None:
        """The broker has it."""
        self._ledger.arrived(self._owner, message)


def _receipt(message: Outgoing, sent: Sent) -> Receipt:
    return Receipt(sent=sent, task_id=message.ticket.task_id)

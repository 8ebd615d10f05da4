"""What a beat that ends still tells the store about what it has in hand."""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.core.plans import Receipt, Sent
from celery_pyncette.core.records import Write
from celery_pyncette.engine.settling import Settling
from celery_pyncette.engine.steps import InHand
from celery_pyncette.engine.writing import Writing
from celery_pyncette.stores.protocol import Store


def give_back(hand: InHand, store: Store, settling: Settling, writing: Writing) -> None:
    """Settle what was sent, give back what was not; whatever fails here is healed by the leases."""
    settling.leaving = True
    claimed, hand.claimed = hand.claimed, {}
    unsent, hand.unsent = hand.unsent, []
    for step in unsent:
        if step.plan.first is None:
            claimed[step.stored.key] = step.stored
        else:
            step.receipt = Receipt(sent=Sent.FAILED, task_id="", error="the beat was stopped first")
            hand.unsettled.append(step)
    settling.settle_all(store, hand)
    writing.apply(store, [(key, record, Write(record=replace(record, lease=None))) for key, record in claimed.items()])

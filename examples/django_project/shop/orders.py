"""Placing an order, as a view would."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from django.db import transaction

from celery_pyncette import schedule_task, unschedule_task
from shop.models import Order


class Refused(Exception):
    """The card was refused."""


@transaction.atomic
def place(number: int, *, refused: bool = False) -> None:
    """The order and its reminder: both, or neither."""
    Order.objects.create(number=number)
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.5)
    schedule_task("shop.tasks.remind", f"remind-{number}", execute_at=soon, args=[number])
    if refused:
        raise Refused(f"the card for order {number} was refused")


@transaction.atomic
def cancel(number: int) -> None:
    """Neither the order nor its reminder."""
    Order.objects.filter(number=number).delete()
    unschedule_task(f"remind-{number}")

"""What workers do."""

from __future__ import annotations

from celery import shared_task
from django.db.models import F

from shop.models import Order


@shared_task
def remind(number: int) -> None:
    Order.objects.filter(number=number).update(reminders=F("reminders") + 1)
    print(f"reminded of order {number}", flush=True)


@shared_task
def tidy() -> None:
    """An entry of ``beat_schedule``, beside the dynamic ones."""

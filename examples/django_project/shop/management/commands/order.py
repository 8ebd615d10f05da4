"""``manage.py order 2 3 --refused 1``: place orders, and fail to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from shop.models import Order
from shop.orders import Refused, place


class Command(BaseCommand):
    help = "Place orders; of those --refused the card is refused in the middle of it. Without any: list them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("numbers", nargs="*", type=int)
        parser.add_argument("--refused", nargs="+", type=int, default=[])

    def handle(self, *args: Any, numbers: list[int], refused: list[int], **options: Any) -> None:
        for number in [*refused, *numbers]:
            try:
                place(number, refused=number in refused)
                self.stdout.write(f"order {number} is placed")
            except Refused as error:
                self.stdout.write(f"{error}")
        if not numbers and not refused:
            for order in Order.objects.order_by("number"):
                self.stdout.write(f"order {order.number}: {order.reminders} reminders")

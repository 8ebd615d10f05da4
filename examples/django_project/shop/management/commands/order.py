"""``manage.py order 7``: place an order, or fail to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from shop.models import Order
from shop.orders import Refused, place


class Command(BaseCommand):
    help = "Place orders; --refused: the card is refused in the middle of it. Without numbers: list them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("numbers", nargs="*", type=int)
        parser.add_argument("--refused", action="store_true")

    def handle(self, *args: Any, numbers: list[int], refused: bool, **options: Any) -> None:
        for number in numbers:
            try:
                place(number, refused=refused)
                self.stdout.write(f"order {number} is placed")
            except Refused as error:
                self.stdout.write(f"{error}")
        if not numbers:
            for order in Order.objects.order_by("number"):
                self.stdout.write(f"order {order.number}: {order.reminders} reminders")

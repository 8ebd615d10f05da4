"""What the shop keeps."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    number = models.IntegerField(unique=True)
    reminders = models.IntegerField(default=0)

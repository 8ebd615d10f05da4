"""Run by the tests: fills django-celery-beat's tables, and prints when each entry is due there."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import django
from django.conf import settings

from tests.migrate.makers.due import due, ms
from tests.migrate.mixed import Made, entries

NOW = datetime.now(timezone.utc)


def special() -> list[Made]:
    """What has a case of its own."""
    daily = {"minute": "0", "hour": "3", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    hourly: dict[str, Any] = {"every": 1, "period": "hours"}
    return [
        Made("off", "interval", hourly, enabled=False),
        Made("off-once", "clocked", {"in": 600}, enabled=False, one_off=True),
        Made("ran-once", "interval", hourly, last=10, count=1, one_off=True),
        Made("once", "interval", hourly, last=None, one_off=True),
        Made("new", "interval", hourly),
        Made("new-daily", "crontab", daily),
        Made("starts", "interval", hourly, start=86_400),
        Made("starts-daily", "crontab", daily, zone="UTC", start=86_400),
        Made("starts-later", "interval", {"every": 9, "period": "days"}, last=100, count=1, start=86_400),
        Made("started", "interval", hourly, last=1_000, count=3, start=-86_400),
        Made("started-never-ran", "interval", hourly, start=-100),
        Made("ends", "interval", hourly, last=100, count=1, expires=86_400),
        Made("expired", "interval", hourly, last=100, count=1, expires=-10),
        Made("ends-before", "interval", hourly, last=100, count=1, expires=60),
        Made("routed", "interval", hourly, last=100, count=1, options={"exchange": "x", "routing_key": "y"}),
        Made("tiny", "interval", {"every": 1_500, "period": "microseconds"}, last=100, count=1),
        Made("static", "interval", hourly, last=100, count=1),
    ]


def main(path: str) -> None:
    settings.configure(
        INSTALLED_APPS=["django_celery_beat"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": path}},
        USE_TZ=True,
        TIME_ZONE="Europe/Berlin",
    )
    django.setup()
    from celery import Celery
    from django.core.management import call_command
    from django.db import transaction
    from django_celery_beat.models import PeriodicTask
    from django_celery_beat.schedulers import ModelEntry

    call_command("migrate", verbosity=0)
    app = Celery("proj", broker="memory://")
    app.conf.timezone = "Europe/Berlin"
    with transaction.atomic():
        PeriodicTask.objects.bulk_create(
            [task_of(each) for each in entries(("interval", "crontab", "solar", "clocked"))]
        )
        for made in special():
            task_of(made).save()

    found = {}
    for model in PeriodicTask.objects.all():
        entry = ModelEntry(model, app=app)
        found[model.name] = due_of(entry, model, app) if model.enabled else None
    json.dump(found, sys.stdout)


def due_of(entry: Any, model: Any, app: Any) -> int:
    """As ``ModelEntry.is_due`` has it: a start that is to come is waited for."""
    if model.clocked:
        return ms(model.clocked.clocked_time)
    last = entry.last_run_at.astimezone(app.timezone)
    usual = due(entry.schedule, last, NOW)
    if model.start_time is None:
        return usual
    if model.start_time > NOW:
        return max(ms(model.due_start_time(ZoneInfo("Europe/Berlin"))), usual)
    return max(usual, ms(NOW)) if model.last_run_at < model.start_time else usual


def task_of(made: Made) -> Any:
    from django_celery_beat import models

    fields = dict(made.fields)
    if made.kind == "clocked":
        schedule = models.ClockedSchedule(clocked_time=NOW + timedelta(seconds=fields["in"]))
    elif made.kind == "crontab":
        schedule = models.CrontabSchedule(timezone=ZoneInfo(made.zone), **fields)
    else:
        schedule = {"interval": models.IntervalSchedule, "solar": models.SolarSchedule}[made.kind](**fields)
    schedule.save()
    options = {name: value for name, value in made.options.items() if name != "expires"}
    return models.PeriodicTask(
        name=made.name,
        task="shop.task",
        args=json.dumps(made.args),
        kwargs=json.dumps(made.kwargs),
        headers=json.dumps({"tenant": "a"}) if made.options else "{}",
        expire_seconds=made.options.get("expires"),
        expires=at(made.expires),
        start_time=at(made.start),
        one_off=made.one_off or made.kind == "clocked",
        enabled=made.enabled,
        last_run_at=at(None if made.last is None or made.kind == "clocked" else -made.last),
        total_run_count=0 if made.kind == "clocked" else made.count,
        **{made.kind: schedule},
        **options,
    )


def at(offset: float | None) -> datetime | None:
    return None if offset is None else NOW + timedelta(seconds=offset)


main(sys.argv[1])

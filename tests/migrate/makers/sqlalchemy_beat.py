"""Run by the tests: fills sqlalchemy-celery-beat's tables, and prints when each entry is due there."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

from celery import Celery
from sqlalchemy_celery_beat import models
from sqlalchemy_celery_beat.schedulers import ModelEntry
from sqlalchemy_celery_beat.session import SessionManager

from tests.migrate.makers.due import due, ms
from tests.migrate.mixed import Made, entries

NOW = datetime.now(timezone.utc)
HOURLY: dict[str, Any] = {"every": 1, "period": "hours"}
DAILY = {"minute": "0", "hour": "3", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
SPECIAL = [
    Made("off", "interval", HOURLY, enabled=False),
    Made("new", "interval", HOURLY),
    Made("starts", "interval", HOURLY, start=86_400),
    Made("starts-daily", "crontab", DAILY, zone="UTC", start=86_400),
    Made("ran-once", "interval", HOURLY, last=10, count=1, one_off=True),
    Made("ends", "interval", HOURLY, last=100, count=1, expires=86_400),
    Made("expired", "interval", HOURLY, last=100, count=1, expires=-10),
]


def main(path: str) -> None:
    app = Celery("proj", broker="memory://")
    app.conf.timezone = "Europe/Berlin"
    manager = SessionManager()
    engine, factory = manager.create_session(f"sqlite:///{path}")
    manager.prepare_models(engine)
    session = factory()
    for made in [*entries(("interval", "crontab", "solar", "clocked")), *SPECIAL]:
        schedule = schedule_of(made)
        session.add(schedule)
        session.flush()
        session.add(task_of(made, schedule))
    session.commit()
    found = {}
    for model in session.query(models.PeriodicTask).all():
        ran = model.last_run_at is not None
        entry = ModelEntry(model, Session=factory, app=app)
        counts = ran or model.start_time is not None or model.discriminator == "clockedschedule"
        found[model.name] = due_of(entry, model, ran) if model.enabled and counts else None
    session.rollback()
    json.dump(found, sys.stdout)


def due_of(entry: Any, model: Any, ran: bool) -> int:
    """As ``ModelEntry.is_due`` has it; one that never ran counts from the start of the beat, whenever that is."""
    if model.discriminator == "clockedschedule":
        return ms(aware(model.schedule_model.clocked_time))
    usual = due(entry.schedule, entry.last_run_at, NOW)
    if model.start_time is not None and aware(model.start_time) > NOW:
        return max(ms(aware(model.start_time)), usual) if ran else ms(aware(model.start_time))
    return usual


def schedule_of(made: Made) -> Any:
    fields = dict(made.fields)
    if made.kind == "interval":
        return models.IntervalSchedule(every=fields["every"], period=models.Period(fields["period"]))
    if made.kind == "crontab":
        return models.CrontabSchedule(timezone=made.zone, **fields)
    if made.kind == "solar":
        return models.SolarSchedule(**{**fields, "event": models.SolarEvent(fields["event"])})
    return models.ClockedSchedule(clocked_time=NOW + timedelta(seconds=fields["in"]))


def task_of(made: Made, schedule: Any) -> Any:
    options = {name: value for name, value in made.options.items() if name != "expires"}
    return models.PeriodicTask(
        schedule_model=schedule,
        name=made.name,
        task="shop.task",
        args=json.dumps(made.args),
        kwargs=json.dumps(made.kwargs),
        expire_seconds=made.options.get("expires"),
        expires=at(made.expires),
        start_time=at(made.start),
        one_off=made.one_off or made.kind == "clocked",
        enabled=made.enabled,
        last_run_at=at(None if made.last is None or made.kind == "clocked" else -made.last),
        total_run_count=0 if made.kind == "clocked" else made.count,
        **options,
    )


def at(offset: float | None) -> datetime | None:
    return None if offset is None else NOW + timedelta(seconds=offset)


def aware(moment: datetime) -> datetime:
    """SQLite forgets the zone; it is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


main(sys.argv[1])

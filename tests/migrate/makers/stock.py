"""Run by the tests: makes a schedule file with stock beat, and prints when each entry is due there."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

from celery import Celery
from celery.beat import PersistentScheduler
from celery.schedules import crontab, schedule, solar

from tests.migrate.makers.due import due
from tests.migrate.mixed import Made, entries, seconds_of


def schedule_of(made: Made):
    fields = made.fields
    if made.kind == "interval":
        return schedule(timedelta(seconds=seconds_of(fields)), relative=seconds_of(fields) % 3600 == 0)
    if made.kind == "solar":
        return solar(fields["event"], fields["latitude"], fields["longitude"])
    return crontab(**fields)


def main(path: str) -> None:
    app = Celery("proj", broker="memory://")
    made = {each.name: each for each in entries(("interval", "crontab", "solar"), zones=["Europe/Berlin"])}
    app.conf.update(
        timezone="Europe/Berlin",
        result_expires=None,
        beat_schedule={
            name: {
                "task": "shop.task",
                "schedule": schedule_of(each),
                "args": tuple(each.args),
                "kwargs": each.kwargs,
                "options": each.options,
            }
            for name, each in made.items()
        },
    )
    beat = PersistentScheduler(app, schedule_filename=path)
    now = datetime.now(timezone.utc)
    for name, entry in beat.schedule.items():
        entry.last_run_at = (now - timedelta(seconds=made[name].last or 0)).astimezone(ZoneInfo("Europe/Berlin"))
        entry.total_run_count = made[name].count
    beat.sync()
    beat.close()
    # What stock beat itself reads back is asked; the file stays as it was.
    for suffix in ("", ".db", ".dat", ".dir", ".bak"):
        if Path(path + suffix).exists():
            shutil.copy(path + suffix, f"{path}-copy{suffix}")
    again = PersistentScheduler(app, schedule_filename=f"{path}-copy")
    found = {name: due(entry.schedule, entry.last_run_at, now) for name, entry in again.schedule.items()}
    for entry in again.schedule.values():
        entry.schedule.nowfun = None
    again.close()
    json.dump(found, sys.stdout)


main(sys.argv[1])

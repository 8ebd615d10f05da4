"""Run by the tests: saves entries with RedBeat, and prints when each is due there."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import crontab, schedule
from redbeat import RedBeatSchedulerEntry
from redbeat.schedulers import get_redis
from redbeat.schedules import rrule

from tests.migrate.makers.due import due, ms
from tests.migrate.mixed import Made, entries, seconds_of

NOW = datetime.now(timezone.utc)
BERLIN = ZoneInfo("Europe/Berlin")


def main(url: str) -> None:
    app = Celery("proj", broker="memory://")
    app.conf.update(timezone="Europe/Berlin", redbeat_redis_url=url)
    found: dict[str, int | None] = {}
    for made in entries(("interval", "crontab", "rrule"), zones=["Europe/Berlin"]):
        found[made.name] = save(app, made)
    off = RedBeatSchedulerEntry("off", "shop.task", schedule(60), app=app, enabled=False)
    off.save()
    calendar = RedBeatSchedulerEntry("calendar", "shop.task", rrule("MONTHLY", bymonthday=13, app=app), app=app)
    calendar.save()
    when = datetime(2027, 1, 2, 3, 4, tzinfo=timezone.utc)
    odd = RedBeatSchedulerEntry(
        "odd", "shop.task", schedule(60), args=[{"when": when}], options={"task_id": "x", "queue": "q"}, app=app
    )
    odd.save()
    never = RedBeatSchedulerEntry("never", "shop.task", crontab(minute="0", hour="3"), app=app)
    never.last_run_at = None
    never.save()
    found |= {"off": None, "calendar": None, "odd": ms(odd.last_run_at) + 60_000, "never": ms(NOW)}
    json.dump(found, sys.stdout)


def save(app: Celery, made: Made) -> int:
    last = (NOW - timedelta(seconds=made.last or 0)).astimezone(BERLIN)
    entry = RedBeatSchedulerEntry(
        made.name,
        "shop.task",
        schedule_of(app, made),
        args=made.args,
        kwargs=made.kwargs,
        options=made.options,
        last_run_at=last,
        app=app,
    )
    entry.total_run_count = made.count
    entry.save()
    meta = {"last_run_at": last, "total_run_count": made.count}
    from redbeat.decoder import RedBeatJSONEncoder

    get_redis(app).hset(entry.key, "meta", json.dumps(meta, cls=RedBeatJSONEncoder))
    back = RedBeatSchedulerEntry.from_key(entry.key, app=app)
    return due(back.schedule, back.last_run_at, NOW)


def schedule_of(app: Celery, made: Made):
    fields = made.fields
    if made.kind == "interval":
        return schedule(timedelta(seconds=seconds_of(fields)), app=app)
    if made.kind == "crontab":
        return crontab(**fields, app=app)
    begins = (NOW - timedelta(days=3)).replace(microsecond=0)
    return rrule("HOURLY" if int(made.name[-1]) % 2 else "DAILY", dtstart=begins, interval=2, app=app)


main(sys.argv[1])

"""The 929 real entries as a ``beat_schedule``; run as a program it prints the fingerprints that they get."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import BaseSchedule, crontab, schedule
from celery.utils.time import remaining

from celery_pyncette.translate import translate_all

DATA = Path(__file__).parents[1] / "data" / "real-beat-schedules.json"
_FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")


class OffsettingSchedule(schedule):
    """As some project has it: the first interval is longer by an offset, and the object remembers that it is over."""

    def __init__(self, run_every, offset):
        self.plain, self.offset, self.first = run_every, offset, True
        super().__init__(run_every + offset)

    def is_due(self, last_run_at):
        state = super().is_due(last_run_at)
        if self.first and state.is_due:
            self.first, self.run_every = False, self.plain
            return super().is_due(last_run_at)
        return state

    def __reduce__(self):
        return type(self), (self.plain, self.offset)


class EventSchedule(BaseSchedule):
    """As some project has it: straight below the base class, with an interval of its own."""

    def __init__(self, form):
        self.form, self.next_run = form, timedelta(seconds=30)
        super().__init__()

    def remaining_estimate(self, last_run_at):
        return remaining(self.maybe_make_aware(last_run_at), self.next_run, self.maybe_make_aware(self.now()))


def _other(fields):
    if fields["form"] == "OffsettingSchedule":
        return OffsettingSchedule(timedelta(seconds=fields["seconds"]), timedelta(seconds=fields["offset_seconds"]))
    if fields["form"] == "crontab":
        return crontab(minute=fields["minute"].split()[1].split("-")[1], hour=fields["hour"])
    return EventSchedule(fields["form"])


def _schedule(fields):
    if fields["kind"] == "interval":
        return timedelta(seconds=fields["seconds"])
    if fields["kind"] == "other":
        return _other(fields)
    made = crontab(**{name: fields[name] for name in _FIELDS})
    if "timezone" in fields:
        made.tz = ZoneInfo(fields["timezone"])
    return made


def real_app():
    """An app with all real entries, named project:name."""
    app = Celery("real", broker="memory://", backend="cache+memory://")
    app.conf.timezone = "Europe/Berlin"
    entries = {}
    for project in json.loads(DATA.read_text())["projects"]:
        for number, entry in enumerate(project["entries"]):
            keys = {
                key: entry[key] for key in ("task", "args", "kwargs", "options", "relative", "enabled") if key in entry
            }
            name = f"{project['project']}:{number}:{entry['name']}"
            entries[name] = {**keys, "schedule": _schedule(entry["schedule"])}
    app.conf.beat_schedule = entries
    return app


if __name__ == "__main__":
    found, rejected = translate_all(real_app())
    assert not rejected, rejected
    seen = {name: [entry.timing, entry.payload, entry.spec.description] for name, entry in found.items()}
    sys.stdout.write(json.dumps(seen))

"""Which of Celery's schedules are read, which stay what they are, and what is refused."""

import copy
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import BaseSchedule, crontab, schedule, solar

from celery_pyncette.core.errors import ConfigurationError, InvalidEntry
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import NEVER, Instant, datetime_of, instant_of
from celery_pyncette.core.schedules import Cron, CronFields, Every, Jitter, Jittered, Once, Solar
from celery_pyncette.translate import (
    Opaque,
    celery_schedule_of,
    named_zone,
    schedule_of,
    spec_of,
    static_key,
    translate_all,
    zone_of,
)
from tests.translate.real import OffsettingSchedule

NOW = instant_of(datetime(2026, 3, 27, 10, 20, 30, tzinfo=timezone.utc))
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def app():
    made = Celery("proj", broker="memory://", backend="cache+memory://", set_as_current=False)
    made.conf.timezone = "Europe/Berlin"
    return made


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (30, Every(30)),
        (0.5, Every(0.5)),
        (timedelta(hours=1), Every(3600)),
        (schedule(30), Every(30)),
        (schedule(timedelta(hours=1), relative=True), Every(3600, relative=True)),
        ("*/5 * * * *", Cron("*/5 * * * *")),
        (Cron("@daily"), Cron("@daily")),
        (Once(NOW), Once(NOW)),
        (Jittered(Every(5), Jitter(2)), Jittered(Every(5), Jitter(2))),
        (solar("sunset", 52.5, 13.4), Solar("sunset", 52.5, 13.4)),
        (crontab(hour=4, minute=0), CronFields(hour={4}, minute={0})),
        (crontab(minute="*/15"), CronFields(minute={0, 15, 30, 45}, wild_minute=True)),
        (
            crontab(minute="0,15,30,45", hour="*/2"),
            CronFields(minute={0, 15, 30, 45}, hour=range(0, 24, 2), wild_hour=True),
        ),
    ],
)
def test_what_is_exactly_a_known_kind_is_read(app, value, expected):
    assert schedule_of(value, app) == (expected, None)


def test_relative_counts_for_numbers_and_timedeltas_only(app):
    assert schedule_of(60, app, relative=True)[0] == Every(60, relative=True)
    assert schedule_of(schedule(60), app, relative=True)[0] == Every(60)


@pytest.mark.parametrize(
    "value", [True, False, 0, -5, float("nan"), float("inf"), timedelta(0), schedule(0), schedule(), object(), crontab]
)
def test_what_is_no_schedule_is_refused(app, value):
    with pytest.raises(InvalidEntry) as refused:
        schedule_of(value, app)
    assert refused.value.field == "schedule"


class TzCrontab(crontab):
    pass


@pytest.mark.parametrize(
    "value", [TzCrontab(hour=4), crontab(hour=4, nowfun=datetime.now), schedule(4, nowfun=datetime.now)]
)
def test_subclasses_and_clocks_of_ones_own_stay_opaque(app, value):
    found, zone = schedule_of(value, app)
    assert isinstance(found, Opaque)
    assert zone is None


def test_a_crontab_with_a_zone_of_its_own_keeps_it(app):
    tokyo = crontab(hour=4, minute=0)
    tokyo.tz = ZoneInfo("Asia/Tokyo")
    assert schedule_of(tokyo, app) == (CronFields(hour={4}, minute={0}), ZoneInfo("Asia/Tokyo"))
    entry = spec_of("e", {"task": "t", "schedule": tokyo}, app)
    assert entry.thin.timezone == "Asia/Tokyo"
    same = crontab(hour=4, minute=0)
    same.tz = BERLIN
    assert schedule_of(same, app)[1] is None


def test_an_opaque_crontab_is_due_when_celery_says_so(app):
    entry = spec_of("e", {"task": "t", "schedule": TzCrontab(hour="4", minute="30", day_of_week="mon")}, app)
    due = entry.schedule.next_after(NOW, Frame(entry.zone, "e", NOW))
    assert datetime_of(due).astimezone(BERLIN) == datetime(2026, 3, 30, 4, 30, tzinfo=BERLIN)
    assert entry.cron
    assert entry.schedule.next_after(due, Frame(entry.zone, "e", NOW)) == due + 7 * 86_400_000


class Stubborn(schedule):
    """Whatever the test says."""

    answer = timedelta(seconds=1)

    def __init__(self, answer):
        self.answer = answer
        super().__init__(1)

    def remaining_estimate(self, last_run_at):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (timedelta(seconds=90), 90_000),
        (timedelta(microseconds=1499), 1),
        (timedelta(microseconds=1500), 2),
        (timedelta(microseconds=3), 1),
        (timedelta(0), 1_000),
        (timedelta(days=-3), 1_000),
    ],
)
def test_estimates_are_rounded_and_always_lie_ahead(answer, after):
    assert Opaque(Stubborn(answer)).next_after(NOW, Frame(BERLIN, "e", NOW)) == NOW + after


def test_an_estimate_beyond_all_calendars_is_never():
    assert Opaque(Stubborn(timedelta.max)).next_after(NOW, Frame(BERLIN, "e", NOW)) == NEVER
    assert Opaque(Stubborn(timedelta(1))).next_after(NEVER, Frame(BERLIN, "e", NOW)) == NEVER


@pytest.mark.parametrize(
    ("answer", "said"), [(ZeroDivisionError("oh"), "ZeroDivisionError: oh"), (5, "timedelta"), (None, "timedelta")]
)
def test_errors_of_a_schedule_name_the_entry(answer, said):
    with pytest.raises(InvalidEntry, match=said) as refused:
        Opaque(Stubborn(answer)).next_after(NOW, Frame(BERLIN, "nightly", NOW))
    assert refused.value.entry == "nightly"


def test_the_schedule_object_itself_is_left_as_it_was():
    made = OffsettingSchedule(timedelta(minutes=30), timedelta(minutes=15))
    before = copy.deepcopy(vars(made))
    opaque, frame = Opaque(made), Frame(BERLIN, "e", NOW)
    moments = [NOW]
    for _ in range(3):
        moments.append(opaque.next_after(moments[-1], frame))
    assert [(later - moments[0]) // 60_000 for later in moments] == [0, 45, 75, 105]
    assert vars(made) == before


def test_any_class_with_an_estimate_will_do(app):
    class Own:
        def remaining_estimate(self, last_run_at):
            return timedelta(minutes=1) - timedelta(seconds=last_run_at.second)

    entry = spec_of("e", {"task": "t", "schedule": Own()}, app)
    assert entry.schedule.next_after(NOW, Frame(entry.zone, "e", NOW)) == NOW + 30_000
    assert isinstance(entry.celery_schedule, Own)


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ({"task": "t", "schedule": 0}, ["entry 'e'", "schedule=0"]),
        ({"task": "t", "schedule": "* * * * * *"}, ["entry 'e'", "seconds='first'", "seconds='last'"]),
        ({"task": "t"}, ["entry 'e'", "schedule=None", "missing"]),
        ({"schedule": 5}, ["entry 'e'", "task=None"]),
        ({"task": "t", "schedule": 5, "args": 3}, ["entry 'e'", "args=3"]),
        ({"task": "t", "schedule": 5, "kwargs": [1]}, ["entry 'e'", "kwargs=[1]"]),
        ({"task": "t", "schedule": 5, "option": {}}, ["entry 'e'", "'option'", "did you mean 'options'?"]),
        ({"task": "t", "schedule": 5, "policy": {}}, ["entry 'e'", "'policy'", "pyncette_policies"]),
        (5, ["entry 'e'", "must be a dict"]),
    ],
)
def test_a_bad_entry_is_refused_by_name(app, entry, parts):
    with pytest.raises((InvalidEntry, ConfigurationError)) as refused:
        spec_of("e", entry, app)
    for part in parts:
        assert part in str(refused.value)


def test_a_bad_entry_costs_no_other_its_run(app):
    app.conf.beat_schedule = {"good": {"task": "t", "schedule": 5}, "bad": {"task": "t", "schedule": -5}, "x\x00": {}}
    app.add_periodic_task(10, app.signature("t"), name="added")
    entries, rejected = translate_all(app)
    assert {"good", "added"} <= set(entries)
    assert set(rejected) == {"bad", "x\x00"}


def test_the_nightly_clean_up_is_added_where_the_backend_needs_it():
    app = Celery("proj", broker="memory://", backend="db+sqlite://", set_as_current=False)
    entries, _ = translate_all(app)
    assert entries["celery.backend_cleanup"].spec.description == "crontab: 0 4 * * *"
    app.conf.beat_schedule = {"celery.backend_cleanup": {"task": "mine", "schedule": 5}}
    assert translate_all(app)[0]["celery.backend_cleanup"].spec.task == "mine"
    app.conf.update(beat_schedule={}, result_expires=None)
    assert translate_all(app)[0] == {}


def test_an_entry_object_is_as_good_as_a_dict(app):
    plain = {"task": "t", "schedule": crontab(hour=4), "args": (1,), "options": {"queue": "q"}}
    entry = ScheduleEntry(name="e", app=app, **plain)
    assert spec_of("e", entry, app).payload == spec_of("e", plain, app).payload
    assert spec_of("e", entry, app).timing == spec_of("e", plain, app).timing


def test_the_thin_spec_says_what_people_want_to_see_and_nothing_that_is_sent(app):
    entry = spec_of("e", {"task": "t", "schedule": crontab(hour=4, minute="*/7"), "kwargs": {"secret": 1}}, app)
    assert entry.thin.description == "crontab: */7 4 * * *"
    assert (entry.thin.schedule, entry.thin.args, entry.thin.kwargs, entry.thin.options) == (None, (), {}, {})
    assert entry.spec.kwargs == {"secret": 1}


def test_lazy_arguments_are_kept_unevaluated_and_expiry_is_made_sendable(app):
    lazy = BeatLazyFunc(list)
    entry = spec_of(
        "e", {"task": "t", "schedule": 5, "args": [lazy], "options": {"expires": timedelta(minutes=1)}}, app
    )
    assert entry.spec.args[0] is lazy
    assert entry.spec.options == {"expires": 60.0}


def test_keys(app):
    assert static_key("a:b") == "s:a:b"
    long = static_key("ä" * 400)
    assert long.startswith("s:#")
    assert len(long) < 50
    assert static_key("ä" * 399 + "b") != long
    assert spec_of("ä" * 400, {"task": "t", "schedule": 5}, app).name == "ä" * 400


def test_zones(app):
    assert zone_of(app) == BERLIN
    assert str(zone_of(Celery(set_as_current=False))) == "UTC"
    app.conf.timezone = "Nowhere/Land"
    del app.__dict__["timezone"]
    with pytest.raises(ConfigurationError, match="timezone='Nowhere/Land'"):
        zone_of(app)


def test_zones_of_other_libraries_are_taken_by_name():
    tz = pytest.importorskip("dateutil.tz")
    found = tz.gettz("Europe/Berlin")
    if found is None:
        pytest.skip("this machine has no zone files")
    assert named_zone(found) == BERLIN


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Every(90), "<freq: 1.50 minutes>"),
        (Cron("0 4 * * *"), "<crontab: 0 4 * * * (m/h/dM/MY/d)>"),
        (Cron("0 4 1 * MON"), "<crontab: 0 4 1 * MON (m/h/dM/MY/d)>"),
        (Cron("0 4 L * *"), "<crontab: 0 4 L * * (m/h/dM/MY/d)>"),
        (Cron("@daily"), "<crontab: 0 0 * * * (m/h/dM/MY/d)>"),
        (
            CronFields(minute={0, 15, 30, 45}, wild_minute=True, hour={9, 10, 11}),
            "<crontab: */15 9-11 * * * (m/h/dM/MY/d)>",
        ),
        (Once(Instant(0)), "<once at 1970-01-01T00:00:00.000Z>"),
        (Cron("5 0 4 * * *", seconds="first"), "<cron: 5 0 4 * * * (seconds first)>"),
    ],
)
def test_the_way_back_shows_what_was_meant(app, value, shown):
    back = celery_schedule_of(value, app)
    assert isinstance(back, BaseSchedule)
    assert repr(back) == shown


def test_the_way_back_is_the_same_schedule_where_there_is_one(app):
    for made in (
        crontab(minute="*/15", hour="9-17", day_of_week="mon-fri"),
        schedule(30),
        schedule(3600, relative=True),
    ):
        there, _ = schedule_of(made, app)
        back = celery_schedule_of(there, app)
        assert schedule_of(back, app)[0] == there
        assert back == made

"""What records mean: static, dynamic, one-shots, parked; with real schedules and rules."""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from celery import Celery
from celery.schedules import crontab

from celery_pyncette.core.edits import create
from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.policies import Overlap, Policy
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record
from celery_pyncette.core.schedules import Cron, Every, Once
from celery_pyncette.engine.definitions import Definitions
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.rules import delayed_rules
from celery_pyncette.settings import Settings
from celery_pyncette.translate import translate_all

NOW = instant_of(datetime(2026, 3, 27, 10, 20, 30, tzinfo=timezone.utc))


def desk(entries, **conf) -> StaticDefinitions:
    app = Celery("proj", broker="memory://", set_as_current=False)
    app.conf.update(timezone="Europe/Berlin", beat_schedule=entries, result_expires=None, **conf)
    found, rejected = translate_all(app)
    assert rejected == {}
    return StaticDefinitions(app, Settings.of(app), found)


def dynamic(key="d:x", **fields) -> Record:
    spec = EntrySpec(name="x", task="t", origin=Origin.DYNAMIC, **fields)
    return Record(key=Key(key), lane=Lane.ENTRIES, generation="g", spec=spec, timing="stored", anchor=NOW)


def test_a_static_record_means_what_the_configuration_says():
    definitions: Definitions = desk({"e": {"task": "t", "schedule": 30, "kwargs": {"a": 1}}})
    definition = definitions.definition("e")
    record = create(definition, NOW, definitions.times("e", NOW))
    assert record.due_at == NOW + 30_000
    meaning = definitions.meaning(record)
    assert meaning is not None
    assert meaning.spec.kwargs == {"a": 1}
    assert record.spec.kwargs == {}
    assert meaning.timing == record.timing
    assert meaning.times.next_after(NOW) == NOW + 30_000
    assert definitions.meaning(record) is meaning
    assert definitions.definition("e").generation != definition.generation
    assert list(definitions.static()) == ["e"]


def test_another_anchor_gives_other_times():
    definitions = desk({"e": {"task": "t", "schedule": 30}})
    record = create(definitions.definition("e"), NOW, definitions.times("e", NOW))
    later = create(definitions.definition("e"), Instant(NOW + 7), definitions.times("e", NOW))
    assert definitions.meaning(record).times.next_after(NOW) == NOW + 30_000
    assert definitions.meaning(later).times.next_after(NOW) == NOW + 30_007


def test_a_one_shot_means_what_its_parent_means_and_an_unknown_name_nothing():
    definitions = desk({"e": {"task": "t", "schedule": 30}})
    record = create(definitions.definition("e"), NOW, definitions.times("e", NOW))
    child = Record(
        key=one_shot_key(record.key, NOW, "g"), lane=Lane.ENTRIES, generation="g", spec=record.spec, anchor=NOW
    )
    assert definitions.meaning(child).spec.task == "t"
    unknown = Record(
        key=Key("s:y"), lane=Lane.ENTRIES, generation="g", spec=EntrySpec(name="y", task="t", origin=Origin.STATIC)
    )
    assert definitions.meaning(unknown) is None


def test_a_dynamic_record_means_what_it_says_in_its_own_zone_under_todays_settings():
    definitions = desk({}, pyncette_policies={"x": {"grace": 60}}, beat_cron_starting_deadline=300)
    tokyo = definitions.meaning(dynamic(schedule=Cron("0 12 * * *"), timezone="Asia/Tokyo"))
    assert tokyo.times.next_after(NOW) == instant_of(datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Asia/Tokyo")))
    assert (tokyo.rules.grace, tokyo.timing) == (60_000, "stored")
    berlin = definitions.meaning(dynamic(schedule=Cron("0 12 * * *")))
    assert berlin.times.next_after(NOW) == instant_of(datetime(2026, 3, 27, 12, tzinfo=ZoneInfo("Europe/Berlin")))
    aware = definitions.meaning(dynamic(schedule=Every(5), policy=Policy(result_aware=True)))
    assert (aware.rules.aware, aware.rules.overlap) == (True, Overlap.FORBID)
    assert desk({}, beat_cron_starting_deadline=300).meaning(dynamic(schedule=Cron("@daily"))).rules.grace == 300_000


@pytest.mark.parametrize(
    "record",
    [
        dynamic(),
        dynamic(schedule=Every(5), timezone="Nowhere/Land"),
        dynamic(schedule=Every(5), policy=Policy(overlap="forbid")),
        dynamic(schedule=Every(5), options={"expires": "soon"}),
    ],
)
def test_a_dynamic_record_that_makes_no_sense_is_reported_by_its_key(record):
    with pytest.raises(CorruptRecord, match="'d:x'"):
        desk({}).meaning(record)


def test_parked_messages_keep_no_history():
    assert delayed_rules(Settings.read({})).recent_runs == 0


def test_a_parked_record_without_a_message_is_reported_by_its_key():
    spec = EntrySpec(name="id", task="t", origin=Origin.DELAYED, schedule=Once(NOW))
    record = Record(key=Key("e:id"), lane=Lane.DELAYED, generation="g", spec=spec)
    with pytest.raises(CorruptRecord, match="'e:id'"):
        desk({}).meaning(record)


def test_an_entry_whose_rules_contradict_each_other_costs_no_other(caplog):
    entries = {"good": {"task": "t", "schedule": 5}, "bad": {"task": "t", "schedule": crontab()}}
    definitions = desk(entries, pyncette_policies={"bad": {"overlap": "forbid"}})
    assert list(definitions.static()) == ["good"]
    assert "result_aware" in str(definitions.rejected["bad"])
    assert any("entry_rejected: 'bad'" in line for line in caplog.messages)

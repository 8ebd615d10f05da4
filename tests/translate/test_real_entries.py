"""All real entries are understood, and look the same in every process."""

import json
import os
import subprocess
import sys

from celery_pyncette.core.codec import spec_from_data, spec_to_data
from celery_pyncette.core.frame import Frame
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.schedules import CronFields, Every
from celery_pyncette.entries import StaticDefinitions
from celery_pyncette.settings import Settings
from celery_pyncette.translate import Opaque, translate_all
from tests.translate.real import real_app

NOW = Instant(1_775_000_000_123)


def test_each_of_the_929_entries_is_translated_and_has_a_next_due_time():
    entries, rejected = translate_all(real_app())
    assert rejected == {}
    entries.pop("celery.backend_cleanup", None)
    assert len(entries) == 929
    kinds = [type(entry.schedule) for entry in entries.values()]
    assert (kinds.count(CronFields), kinds.count(Every), kinds.count(Opaque)) == (658, 260, 11)
    for entry in entries.values():
        assert NOW < entry.schedule.next_after(NOW, Frame(entry.zone, entry.name, NOW)) < NEVER
        assert spec_from_data(spec_to_data(entry.thin)) == entry.thin


def test_all_of_them_have_rules_and_a_meaning():
    app = real_app()
    entries, _ = translate_all(app)
    definitions = StaticDefinitions(app, Settings.of(app), entries)
    assert definitions.rejected == {}
    assert len(definitions.static()) == len(entries)
    expiring = [name for name in definitions.static() if definitions.rules(name).expires is not None]
    assert len([name for name in expiring if name != "celery.backend_cleanup"]) == 163


def test_fingerprints_are_equal_in_processes_with_other_hash_seeds():
    first, second = (_fingerprints(seed) for seed in ("1", "4242"))
    assert first == second
    assert len(first) >= 929
    assert all(len(timing) == len(payload) == 16 for timing, payload, _ in first.values())
    assert len({timing for timing, _, _ in first.values()}) > 200


def _fingerprints(seed):
    command = [sys.executable, "-m", "tests.translate.real"]
    ran = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)

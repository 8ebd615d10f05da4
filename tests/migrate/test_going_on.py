"""What a beat makes of entries that were moved here, and of a move that is repeated or broken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from celery_pyncette.client import resume_task
from celery_pyncette.client.desk import desk_of
from celery_pyncette.core.errors import StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.schedules import Every
from celery_pyncette.migrate.imported import Imported
from celery_pyncette.migrate.moving import Fate, Mover
from celery_pyncette.stores.protocol import Applied, Change
from tests.client.setting import Setting


@pytest.fixture
def setting() -> Setting:
    return Setting()


def entry(name: str, setting: Setting, ago: float = 90, **more: Any) -> Imported:
    """Every minute; it ran last so many seconds ago."""
    last = Instant(setting.now - round(ago * 1000))
    said: dict[str, Any] = {"task": "t", "schedule": Every(60), "since": last, "last_run_at": last, **more}
    return Imported(name=name, **said)


def moved(setting: Setting, *entries: Imported, write: bool = True) -> dict[str, Fate]:
    mover = Mover(desk_of(setting.app), "another", {"static"}, write=write)
    return {move.entry.name: move.fate for move in mover.move(entries)}


def test_an_interval_goes_on_in_its_phase_and_what_was_missed_runs_once(setting: Setting):
    moved(setting, entry("late", setting, 190), entry("soon", setting, 50))
    assert setting.beat() == ["late"]
    record = setting.record("d:late")
    assert record is not None
    assert (record.due_at - setting.now) == 50_000  # 190 s ago + 4 minutes
    assert setting.beat(10) == ["soon"]
    assert setting.beat(40) == ["late"]


def test_what_was_switched_off_rests_and_misses_nothing(setting: Setting):
    moved(setting, entry("off", setting, enabled=False))
    assert setting.beat(600) == []
    resume_task("off", app=setting.app)
    setting.beat()
    assert setting.beat(60).count("off") == 1


def test_a_one_off_runs_once(setting: Setting):
    moved(setting, entry("once", setting, one_off=True))
    assert setting.beat(600) == ["once"]
    assert setting.beat(600) == []


def test_it_can_be_repeated_after_runs_and_changed(setting: Setting):
    one = entry("one", setting)
    assert moved(setting, one, write=False) == {"one": Fate.CREATED}
    assert moved(setting, one) == {"one": Fate.CREATED}
    setting.beat(60)
    before = setting.record("d:one")
    assert moved(setting, one) == {"one": Fate.UNCHANGED}
    assert setting.record("d:one") == before
    other = entry("one", setting, args=(1,))
    assert moved(setting, other, write=False) == {"one": Fate.CHANGED}
    assert setting.record("d:one") == before
    assert moved(setting, other) == {"one": Fate.CHANGED}
    after = setting.record("d:one")
    assert before is not None
    assert after is not None
    assert (after.spec.args, after.due_at, after.counters) == ((1,), before.due_at, before.counters)


def test_each_has_its_fate(setting: Setting):
    fates = moved(
        setting,
        entry("static", setting),
        entry("over", setting, over="it has run"),
        entry("broken", setting, problem="cannot be read"),
        entry("bad\nname", setting),
        entry("fine", setting),
    )
    assert fates == {
        "static": Fate.STATIC,
        "over": Fate.OVER,
        "broken": Fate.REFUSED,
        "bad\nname": Fate.REFUSED,
        "fine": Fate.CREATED,
    }


class Breaking:
    """A store that breaks at its second write."""

    def __init__(self, store: Any) -> None:
        self._store, self._writes = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def apply(self, changes: Sequence[Change], seen: Instant = Instant(0)) -> Applied:
        self._writes += 1
        if self._writes == 2:
            raise StoreUnavailable("gone")
        answer: Applied = self._store.apply(changes, seen)
        return answer


def test_a_move_that_is_broken_off_goes_on(setting: Setting):
    entries = [entry(f"e{number}", setting) for number in range(1200)]
    setting.serve(Breaking(setting.store))
    with pytest.raises(StoreUnavailable):
        moved(setting, *entries)
    done = {record.spec.name for record in setting.records("d:")}
    assert len(done) == 500
    fates = moved(setting, *entries)
    assert {name for name, fate in fates.items() if fate is Fate.UNCHANGED} == done
    assert sum(fate is Fate.CREATED for fate in fates.values()) == 700

"""Settings in which a mutant is sooner found: other rules, other faults, nothing else that goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import CatchUp, OnFailure
from celery_pyncette.core.policies import Delivery as Policy
from celery_pyncette.core.records import Origin
from celery_pyncette.core.schedules import Once
from tests.simulation.aware_setting import Setting
from tests.simulation.book import Entry
from tests.simulation.user_code import Habit
from tests.simulation.world import START, Faults

Change_ = Callable[[Setting], Setting]


def under(*, faults: Faults | None = None, **changes: Any) -> Change_:
    """The same setting with other rules for all entries, and other faults."""

    def change(setting: Setting) -> Setting:
        entries = [
            replace(entry, rules=replace(entry.rules, **{"gated": True, **changes})) for entry in setting.entries
        ]
        return replace(setting, entries=entries, faults=setting.faults if faults is None else faults, gated=True)

    return change


def gated(setting: Setting) -> Setting:
    """As it is, with gated workers."""
    return under(gated=True)(setting)


def ordinary(**changes: Any) -> Change_:
    """With ordinary workers, which no message that is followed may have."""

    def change(setting: Setting) -> Setting:
        entries = [entry for entry in setting.entries if not entry.followed]
        return under(**changes)(replace(setting, entries=entries))

    return lambda setting: replace(change(setting), gated=False)


def crowded(setting: Setting) -> Setting:
    """A queue that is always longer than any wait, and nothing else that goes wrong."""
    latest = under(delivery=Policy.AT_LEAST_ONCE, catch_up=CatchUp.LATEST, grace=None, expires=None, faults=Faults())
    habits = {entry.name: Habit() for entry in setting.entries}
    return replace(latest(setting), habits=habits, lag=45_000, steady=True, edits_every=0)


def edited(setting: Setting) -> Setting:
    """Somebody edits all the time, and beats stall."""
    return replace(under(faults=Faults(stall=0.1))(setting), edits_every=40, steps=800)


def parked(setting: Setting) -> Setting:
    """Nothing but a message that is followed, and somebody who does not leave it alone."""
    habits = {"message": Habit(raises=0.2, long=0.5)}
    rules = replace(setting.entries[0].rules, gated=True, catch_up=CatchUp.LATEST, grace=None)
    message = Entry("message", Once(Instant(START + 3_000)), rules, Origin.DELAYED)
    return replace(setting, entries=[message], habits=habits, edits_every=1_500, gated=True)


def calm(change: Change_, **faults: float) -> Change_:
    """Without faults but these, edits, or tasks that take long."""

    def changed(setting: Setting) -> Setting:
        habits = {name: replace(habit, long=0.0) for name, habit in setting.habits.items()}
        return replace(change(setting), habits=habits, faults=Faults(**faults), lag=0, edits_every=0)

    return changed


LEAST = under(delivery=Policy.AT_LEAST_ONCE)
MOST = under(delivery=Policy.AT_MOST_ONCE, on_failure=OnFailure.ACCEPT)
BUSY = Faults(redelivered=0.3, answer_lost=0.05, freeze=0.03)

"""What is played from one seed: entries and how their tasks behave, who works, what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import CatchUp, Delivery, Heartbeat, OnFailure, OnLeaseLost, Overlap, Rules
from celery_pyncette.core.records import Origin
from celery_pyncette.core.schedules import Every, Once
from tests.simulation.actors import CLAIM_TIME, POLL
from tests.simulation.book import Entry
from tests.simulation.user_code import Habit
from tests.simulation.world import START, Faults

STEPS = 200
LEASE = 9_000
FAULTS = {
    "stall": 0.02,
    "freeze": 0.015,
    "die": 0.01,
    "child_dies": 0.02,
    "stop": 0.02,
    "answer_lost": 0.04,
    "store_away": 0.006,
    "publish_fails": 0.1,
    "publish_unsure": 0.1,
    "broker_away": 0.02,
    "message_lost": 0.08,
    "message_late": 0.15,
    "redelivered": 0.15,
    "hang": 0.02,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What is played: entries and how their tasks behave, who works, and what goes wrong.

    ``lag``: each message waits for so many milliseconds; ``steady``: also when nothing goes wrong any more.
    """

    entries: Sequence[Entry]
    habits: Mapping[str, Habit]
    faults: Faults = field(default_factory=Faults)
    beats: int = 2
    workers: int = 2
    gated: bool = True
    prefork: bool = True
    acks_late: bool = True
    children: int = 1
    lag: int = 0
    steady: bool = False
    edits_every: int = 6_000
    steps: int = STEPS


def some_setting(rng: random.Random) -> Setting:
    """Three entries of different kinds, two or three beats, two workers; no faults at all in one run of twenty.

    In half of the runs on gated workers there is a parked message that is followed, too.
    """
    gated = rng.random() < 0.8
    entries = [_entry(number, rng, gated) for number in range(3)]
    names = rng.sample(sorted(FAULTS), rng.choice((3, 4, 5)))
    faults = Faults() if rng.random() < 1 / 20 else Faults(**{name: FAULTS[name] for name in names})
    habits = {entry.name: _habit(rng) for entry in entries}
    setting = Setting(
        entries=entries,
        habits=habits,
        faults=faults,
        beats=rng.choice((2, 2, 3)),
        gated=gated,
        prefork=rng.random() < 0.7,
        acks_late=rng.random() < 0.7,
        children=rng.choice((1, 1, 2)),
        lag=rng.choice((0, 0, 0, 0, 3 * LEASE)),
        edits_every=rng.choice((3_000, 10_000)),
    )
    if gated and rng.random() < 0.5:
        message = _parked(rng)
        entries.append(message)
        habits[message.name] = _habit(rng)
    return setting


def _parked(rng: random.Random) -> Entry:
    """What its caller asked for; it is late by its own expiry only."""
    asked = _entry(0, rng, True).rules
    rules = replace(asked, catch_up=CatchUp.LATEST, grace=None, recent_runs=0)
    return Entry("message", Once(Instant(START + rng.randrange(20_000))), rules, Origin.DELAYED)


def _entry(number: int, rng: random.Random, gated: bool) -> Entry:
    delivery = rng.choice(tuple(Delivery))
    once = delivery is Delivery.AT_MOST_ONCE
    catch_up = rng.choice(tuple(CatchUp))
    rules = Rules(
        aware=True,
        delivery=delivery,
        catch_up=catch_up,
        grace=CLAIM_TIME + POLL if catch_up is CatchUp.NONE else None,
        overlap=rng.choice((Overlap.FORBID, Overlap.FORBID, Overlap.ALLOW)),
        on_failure=rng.choice((OnFailure.ACCEPT, OnFailure.PAUSE, OnFailure.PAUSE if once else OnFailure.RETRY)),
        max_attempts=rng.choice((2, 3)),
        backoff=(1_000, 4_000),
        lease=LEASE,
        claim_time=CLAIM_TIME,
        start_within=12_000,
        start_cap=30_000,
        start_attempts=rng.choice((1, 1, 3)) if gated else 1,
        max_run=40_000,
        on_lease_lost=rng.choice(tuple(OnLeaseLost)),
        heartbeat=rng.choice((Heartbeat.AUTOMATIC, Heartbeat.AUTOMATIC, Heartbeat.COOPERATIVE)),
        gated=gated,
        expires=rng.choice((None, None, 15_000, 40_000)),
        recent_runs=rng.choice((0, 3)),
    )
    origin = rng.choice((Origin.STATIC, Origin.DYNAMIC, Origin.DYNAMIC))
    payload = "unbuildable" if rng.random() < 0.03 else "p"
    if origin is Origin.DYNAMIC and rng.random() < 0.25:
        return Entry(f"one-off {number}", Once(Instant(START + rng.randrange(20_000))), rules, origin, payload)
    every = Every(rng.choice((5, 8, 14)))
    return Entry(f"entry {number}", every, rules, origin, payload, max_runs=rng.choice((None, None, None, 3)))


def _habit(rng: random.Random) -> Habit:
    return Habit(
        raises=rng.choice((0.0, 0.0, 0.4)),
        retries=rng.choice((0.0, 0.0, 0.5)),
        requeues=rng.choice((0.0, 0.0, 0.2)),
        ignores=rng.choice((0.0, 0.0, 0.1)),
        long=rng.choice((0.0, 0.1)),
    )

"""From one seed to one run: entries, faults, who acts, and the end when all must have settled."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from celery_pyncette.core.edits import create
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import CatchUp, Delivery, Rules
from celery_pyncette.core.records import Lane, Origin, Record, Write
from celery_pyncette.core.schedules import Every, Once
from celery_pyncette.core.settling import SEND_AGAIN
from celery_pyncette.stores.protocol import Founding, Query
from celery_pyncette.stores.writes import change_of
from tests.simulation.actors import CLAIM_TIME, POLL, Beat, User
from tests.simulation.book import Book, Entry
from tests.simulation.ledger import Ledger
from tests.simulation.store_view import SharedStore
from tests.simulation.world import RESTARTS, STALLS, START, Faults, World

GRACE = CLAIM_TIME + POLL
STEPS = 200
#: What is ready is dealt with after at most a claim, a back-off, and a poll of each beat.
BOUND = CLAIM_TIME + SEND_AGAIN + 3 * POLL
FAULTS = {
    "stall": 0.04,
    "die": 0.02,
    "stop": 0.05,
    "answer_lost": 0.06,
    "store_away": 0.01,
    "emptied": 0.004,
    "clock_back": 0.01,
    "publish_fails": 0.1,
    "publish_unsure": 0.1,
    "broker_away": 0.02,
}


@dataclass(slots=True)
class Ran:
    """What a run was."""

    seed: int
    steps: int
    hit: int
    arrived: int
    skipped: int
    copies: int
    edits: int


@dataclass(slots=True)
class Cast:
    """Everything that plays in one run, before the curtain rises."""

    world: World
    shared: SharedStore
    ledger: Ledger
    beats: list[Beat]
    user: User


def run(seed: int, order: bool = True, bustle: Faults | None = None) -> Ran:
    """Play one seed. :raises Violation: if a promise was broken.

    :param bustle: with these faults, and a user who edits all the time.
    """
    rng = random.Random(f"scenario {seed}")
    faults = some_faults(rng)
    world = World(seed, faults if bustle is None else bustle)
    cast = assemble(world, some_entries(rng), beats=rng.choice((2, 2, 3)))
    if bustle is not None:
        cast.user.every = 20
    cast.ledger.order = order
    world.stage.add("user", cast.user.play)
    return play(cast, STEPS if bustle is None else 4 * STEPS)


def some_faults(rng: random.Random) -> Faults:
    """None at all in one run of twelve, else two to four kinds."""
    if rng.random() < 1 / 20:
        return Faults()
    return Faults(**{name: FAULTS[name] for name in rng.sample(sorted(FAULTS), rng.choice((3, 4, 5)))})


def some_entries(rng: random.Random) -> list[Entry]:
    """Three entries of different kinds, one of them static in most runs."""
    return [_entry(number, rng) for number in range(3)]


def _entry(number: int, rng: random.Random) -> Entry:
    delivery = rng.choice(tuple(Delivery))
    catch_up = rng.choice(tuple(CatchUp))
    grace = GRACE if catch_up is CatchUp.NONE else None
    rules = Rules(delivery=delivery, catch_up=catch_up, grace=grace, claim_time=CLAIM_TIME)
    origin = rng.choice((Origin.STATIC, Origin.DYNAMIC, Origin.DYNAMIC, Origin.DELAYED))
    if origin is Origin.DELAYED or (origin is Origin.DYNAMIC and rng.random() < 0.3):
        at = Instant(START + rng.randrange(20_000))
        return Entry(f"one-off {number}", Once(at), rules, origin, rng.choice(("p", "p", "unbuildable")))
    payload = "unbuildable" if rng.random() < 0.05 else "p"
    max_runs = rng.choice((None, None, 3))
    return Entry(f"entry {number}", Every(rng.choice((2, 5, 8))), rules, origin, payload, max_runs=max_runs)


def assemble(world: World, entries: Sequence[Entry], beats: int = 2) -> Cast:
    """Beats and a user over one store, in which the entries that are not static have been scheduled."""
    ledger = Ledger(world, {entry.name: entry for entry in entries})
    shared = SharedStore(world, ledger)
    lanes = tuple(sorted({Lane.ENTRIES, *(entry.lane for entry in entries)}))
    static = [entry for entry in entries if entry.origin is Origin.STATIC]
    rules = {entry.name: entry.rules for entry in entries}
    unbuildable = frozenset(entry.name for entry in entries if entry.payload == "unbuildable")
    played = []
    for number in range(beats):
        beat = Beat(world, shared, Book(static, rules), f"beat{number}", lanes, unbuildable)
        world.stage.add(beat.name, beat.play, world.rng.randrange(POLL))
        played.append(beat)
    for entry in entries:
        ledger.know(entry)
    schedule(shared, [entry for entry in entries if entry.origin is not Origin.STATIC])
    editable = {entry.name: entry for entry in entries if entry.payload != "unbuildable"}
    user = User(world, shared, editable, every=world.rng.choice((1_500, 6_000)))
    return Cast(world, shared, ledger, played, user)


def schedule(shared: SharedStore, entries: Sequence[Entry]) -> None:
    shared.store.prepare(Founding(store_id="a store"))
    now = shared.world.now()
    for entry in entries:
        due_at = entry.schedule.at if isinstance(entry.schedule, Once) else None
        if entry.followed and due_at is not None:
            record = entry.parked(due_at, now)
        else:
            record = create(entry.definition(), now, entry.times(now), due_at=due_at)
        shared.apply("user", [change_of(entry.key, None, Write(record=record))], Instant(0))


def play(cast: Cast, steps: int = STEPS) -> Ran:
    """Through the faults, and then to rest."""
    world, ledger = cast.world, cast.ledger
    try:
        while world.stage.steps < steps:
            world.stage.run(world.stage.now + 500)
        world.calm = True
        world.stage.run(world.stage.now + max(*STALLS, *RESTARTS) + BOUND)
        stored: list[Record] = list(cast.shared.store.scan(Query(limit=10_000)).records)
        ledger.settled(stored, world.now(), BOUND)
    finally:
        world.stage.close()
    arrived = sum(len(copies) for copies in ledger.arrivals.values())
    edits = cast.user.edits_made
    return Ran(world.seed, world.stage.steps, world.hit, arrived, ledger.skipped, ledger.copies, edits)

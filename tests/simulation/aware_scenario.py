"""From one seed to one run of result-aware entries: what is scheduled, who works, what goes wrong; and how it ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from celery_pyncette import clock
from celery_pyncette.core.records import Origin
from celery_pyncette.stores.protocol import Founding
from celery_pyncette.worker import gate
from tests.simulation.actors import POLL
from tests.simulation.aware_actors import FINGERPRINT, AwareBeat, RunUser
from tests.simulation.aware_setting import Setting, some_setting
from tests.simulation.book import Book
from tests.simulation.celery_fake import forget_offices
from tests.simulation.gated_worker import GatedWorker
from tests.simulation.ledger import Violation
from tests.simulation.message_queue import Queue
from tests.simulation.ordinary_worker import OrdinaryWorker
from tests.simulation.run_ledger import RunLedger
from tests.simulation.scenario import schedule
from tests.simulation.store_view import SharedStore
from tests.simulation.work_site import Site
from tests.simulation.world import World

#: After the last fault everything that was due before must have ended within this, in milliseconds.
PATIENCE = 600_000


@dataclass(slots=True)
class AwareRan:
    """What a run was: counts of steps, faults, messages, starts of user code, and so on."""

    seed: int
    steps: int
    hit: int
    sent: int
    begun: int
    copies: int
    refused: int
    edits: int
    ended: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Play:
    """Everything that plays in one run."""

    setting: Setting
    world: World
    ledger: RunLedger
    shared: SharedStore
    site: Site
    beats: list[AwareBeat]
    workers: list[GatedWorker | OrdinaryWorker]
    user: RunUser


def run(seed: int, change: Callable[[Setting], Setting] = lambda setting: setting) -> AwareRan:
    """Play one seed. :raises Violation: if a promise was broken."""
    with determined(seed):
        return perform(assemble(seed, change(some_setting(random.Random(f"aware {seed}")))))


@contextmanager
def determined(seed: int) -> Iterator[None]:
    """Ids and jitter that follow from the seed, too."""
    dice = random.Random(f"ids {seed}")

    def token_hex(size: int) -> str:
        return dice.getrandbits(8 * size).to_bytes(size, "big").hex()

    with patch.object(clock.secrets, "token_hex", token_hex), patch.object(gate.random, "uniform", dice.uniform):
        try:
            yield
        finally:
            forget_offices()


def assemble(seed: int, setting: Setting) -> Play:
    """Beats, workers and a user over one store and one queue."""
    world = World(seed, setting.faults)
    ledger = RunLedger(world, {entry.name: entry for entry in setting.entries})
    shared = SharedStore(world, ledger)
    site = Site(world, shared, ledger, Queue(world, ledger, setting.lag), setting.habits)
    for entry in setting.entries:
        ledger.know(entry)
    shared.store.prepare(Founding(store_id="a store", fingerprint=FINGERPRINT))
    schedule(shared, [entry for entry in setting.entries if entry.origin is not Origin.STATIC])
    play = Play(setting, world, ledger, shared, site, [], [], _user(setting, world, shared, ledger))
    _cast(play)
    return play


def _user(setting: Setting, world: World, shared: SharedStore, ledger: RunLedger) -> RunUser:
    editable = {entry.name: entry for entry in setting.entries if entry.payload != "unbuildable"}
    return RunUser(world, shared, editable, every=setting.edits_every, ledger=ledger)


def _cast(play: Play) -> None:
    setting, world, site = play.setting, play.world, play.site
    static = [entry for entry in setting.entries if entry.origin is Origin.STATIC]
    rules = {entry.name: entry.rules for entry in setting.entries}
    unbuildable = frozenset(entry.name for entry in setting.entries if entry.payload == "unbuildable")
    for number in range(setting.beats):
        beat = AwareBeat(site, Book(static, rules), f"beat{number}", setting.gated, unbuildable)
        world.stage.add(beat.name, beat.play, world.rng.randrange(POLL))
        play.beats.append(beat)
    for number in range(setting.workers):
        worker: GatedWorker | OrdinaryWorker
        if setting.gated:
            worker = GatedWorker(
                site,
                f"worker{number}",
                setting.prefork,
                setting.children,
                setting.acks_late,
                prefetch=setting.children + 1,
            )
        else:
            worker = OrdinaryWorker(site, f"worker{number}", setting.acks_late)
        world.stage.add(worker.name, worker.play, world.rng.randrange(500))
        play.workers.append(worker)
    if setting.edits_every:
        world.stage.add("user", play.user.play)


def perform(play: Play) -> AwareRan:
    """Through the faults, and then to rest. :raises Violation: if a promise was broken."""
    world = play.world
    try:
        while world.moves < play.setting.steps:
            world.stage.run(world.stage.now + 500)
        come_to_rest(play)
    finally:
        world.stage.close()
    return summary(play)


def come_to_rest(play: Play) -> None:
    """Nothing goes wrong any more: what was due by now ends, and nothing is stuck."""
    world, ledger = play.world, play.ledger
    world.calm = True
    since = world.stage.now
    if not play.setting.steady:
        play.site.queue.lag = 0
    while (pending := ledger.pending(since)) and world.stage.now < since + PATIENCE:
        world.stage.run(world.stage.now + 1_000)
        if (stuck := ledger.stuck()) is not None:
            raise Violation(stuck)
    if pending:
        raise Violation(f"not settled: {pending[0]}")


def summary(play: Play) -> AwareRan:
    """What it was."""
    ledger = play.ledger
    ended: dict[str, int] = {}
    for story in ledger.stories.values():
        if story.used_up is not None:
            ended[story.used_up] = ended.get(story.used_up, 0) + 1
    return AwareRan(
        seed=play.world.seed,
        steps=play.world.moves,
        hit=play.world.hit,
        sent=sum(story.sent for story in ledger.stories.values()),
        begun=sum(len(story.codes) for story in ledger.stories.values()),
        copies=ledger.copies,
        refused=ledger.refused,
        edits=play.user.edits_made,
        ended=ended,
    )

"""One case by hand: a failover loses the START of a run and says so by its epoch, and the broker delivers again."""

from __future__ import annotations

from dataclasses import replace

from celery_pyncette.core.codec import decode
from celery_pyncette.core.policies import Delivery, Overlap, Rules
from celery_pyncette.core.schedules import Every
from celery_pyncette.stores.rows import Entry as StoredEntry
from celery_pyncette.stores.rows import entry_of
from tests.simulation.actors import CLAIM_TIME
from tests.simulation.aware_scenario import AwareRan, Play, assemble, determined, summary
from tests.simulation.aware_setting import LEASE, Setting
from tests.simulation.book import Entry
from tests.simulation.user_code import Habit

RULES = Rules(
    aware=True,
    delivery=Delivery.AT_MOST_ONCE,
    overlap=Overlap.FORBID,
    lease=LEASE,
    claim_time=CLAIM_TIME,
    start_within=12_000,
    start_cap=30_000,
    max_run=40_000,
)
SETTING = Setting([Entry("job", Every(5), RULES)], {"job": Habit(takes=(3_000,))}, edits_every=0)


def a_start_is_lost(seed: int) -> AwareRan:
    """Play until user code has begun, lose that START, deliver its message again, and see what comes of it."""
    with determined(seed):
        play = assemble(seed, SETTING)
        stage = play.world.stage
        try:
            before = _until_begun(play)
            _lose(play, before)
            stage.run(stage.now + 6_000)
        finally:
            stage.close()
        return summary(play)


def _until_begun(play: Play) -> StoredEntry:
    """The stored record as it was before the START."""
    stage, rows = play.world.stage, play.shared.space.namespaces["sim"]
    while True:
        before = rows["d:job"]
        stage.run(stage.now + 1)
        if play.ledger.codes:
            return before


def _lose(play: Play, before: StoredEntry) -> None:
    ledger, stage, queue = play.ledger, play.world.stage, play.site.queue
    older = replace(decode(before.row), epoch=1)
    play.shared.space.namespaces["sim"]["d:job"] = entry_of(older, older.version, older.write_id)
    ledger.current[older.key] = older
    ledger.holders.pop(older.key)
    play.world.note("")
    [(_, message)] = queue.unacknowledged.values()
    queue._add(replace(message, at=stage.now + 10))

"""Ten processes schedule, change, pause and remove the same names at random, while two beats run and one is killed.

Half of the names are *steady*: changed, but never paused or removed, with one schedule; each of their due times counts.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.churn import account
from tests.churn.account import Change, Ran
from tests.churn.plan import kind_of
from tests.churn.stage import Stage, until
from tests.support.brokers import Broker
from tests.support.process import Processes

pytestmark = pytest.mark.faults

#: What a beat that dies may have in hand.
CHUNK = 50
SHORT = {"seconds": 5, "names": 60, "kill_every": 4}
LONG = {"seconds": 60, "names": 1000, "kill_every": 10}
STORES = ("redis", "postgresql", "mariadb", "redis-cluster")
CASES = [
    pytest.param(store, size, id=f"{store}-{name}", marks=[pytest.mark.store(store), *marks])
    for name, size in (("short", SHORT), ("long", LONG))
    for store in STORES
    for marks in [[] if (store, name) == ("redis", "short") else [pytest.mark.full_matrix]]
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("store", "size"), CASES)
def test_after_the_churn_all_adds_up(
    store: str, size: dict[str, int], request, tmp_path: Path, processes: Processes, redis_broker: Broker
):
    url = str(request.getfixturevalue(f"{store.replace('-', '_')}_url"))
    stage = Stage(tmp_path, processes, url, redis_broker)
    stage.begin()
    stage.churn(writers=10, **size)
    changes, final, now = stage.changes(), stage.final(), time.time() * 1000
    assert stage.kills > 0
    assert len({change.verb for change in changes if change.done}) == 4
    assert account.wrong_definitions(changes, final) == []
    assert account.wrong_pauses(changes, final) == []

    expected = account.expected(changes, now)
    assert expected
    until(lambda: not _missed(expected, stage.runs(), "at_least_once"), lambda: _some_of(expected, stage))
    runs = stage.runs()
    sys.stdout.write(
        f"{len(changes)} changes, {stage.kills} kills, {len(final)} entries in the end; of {len(expected)} occurrences "
        f"that must be, at most once lost {len(_missed(expected, runs, 'at_most_once'))}; {len(runs)} runs, "
        f"{len(account.copies(runs))} of them copies\n"
    )
    _check_runs(changes, runs, stage.kills)
    _check_losses(changes, expected, stage)
    _check_nothing_is_left(stage)


def _check_runs(changes: list[Change], runs: list[Ran], kills: int) -> None:
    """At most once, and with its own definition; a beat that dies may send again what need not be sent only once."""
    assert account.ghosts(changes, runs) == []
    assert account.in_pauses(changes, runs) == []
    assert account.off_their_times(changes, runs) == []
    again = account.copies(runs)
    assert [each for each in again if kind_of(each[0]).delivery == "at_most_once" or kind_of(each[0]).aware] == []
    assert len(again) <= CHUNK * kills


def _missed(expected: set[tuple[str, int]], runs: list[Ran], delivery: str) -> set[tuple[str, int]]:
    due = {each for each in expected if kind_of(each[0]).delivery == delivery}
    return due - {run.occurrence for run in runs}


def _some_of(expected: set[tuple[str, int]], stage: Stage) -> str:
    missed = sorted(_missed(expected, stage.runs(), "at_least_once"), key=lambda each: each[1])
    first = [record for record in stage.records() if missed and record.spec.name == missed[0][0]]
    kinds = Counter(kind_of(name) for name, _ in missed)
    return f"missed: {missed[:3]} of {len(missed)} of {len(expected)}; {kinds}; the first one's: {first}"


def _check_losses(changes: list[Change], expected: set[tuple[str, int]], stage: Stage) -> None:
    """What at most once has lost is a chunk per death; where it is result-aware, the store says so."""
    lost = [name for name, _ in _missed(expected, stage.runs(), "at_most_once") if not kind_of(name).aware]
    assert len(lost) <= CHUNK * stage.kills
    until(lambda: not _unexplained(changes, expected, stage), lambda: str(_unexplained(changes, expected, stage)))
    for record in stage.records():
        counters = record.counters
        assert counters.expected == counters.started + counters.skipped + (record.run is not None), record


def _unexplained(changes: list[Change], expected: set[tuple[str, int]], stage: Stage) -> list[tuple[str, int]]:
    """What never ran although it is result-aware, and neither counts as skipped nor lies as a dead letter.

    A run that is sent and not started ends as skipped when its definition is replaced: it may be on its way. Where
    runs may overlap, that is counted in a record of its own, which goes with it.
    """
    records = stage.records()
    skipped = {record.spec.name: record.counters.skipped for record in records if record.key.startswith("d:")}
    given_up = {(record.spec.name, int(record.key.split("@")[1])) for record in records if record.dead is not None}
    left = []
    for name, due_at in sorted(_missed(expected, stage.runs(), "at_most_once")):
        if not kind_of(name).aware or (name, due_at) in given_up:
            continue
        if kind_of(name).overlap == "forbid":
            skipped[name] = skipped.get(name, 0) - 1
            if skipped[name] >= 0:
                continue
        elif any(change.name == name and change.end >= due_at for change in changes):
            continue
        left.append((name, due_at))
    return left


def _check_nothing_is_left(stage: Stage) -> None:
    """Without definitions there is nothing in the store but dead letters, and tombstones that go by themselves."""
    stage.remove_all()
    until(lambda: not stage.open_runs(), lambda: f"these runs have not ended: {stage.open_runs()[:3]}")
    left = [record for record in stage.records() if record.dead is None and not record.removed]
    assert left == []
    stage.close()

"""Many at once: each record to one, each change by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.records import Key, Lease
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.testing.contract.samples import create, replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, claim, put, stored, verdicts
from celery_pyncette.testing.contract.together import in_processes, in_threads

EACH_WAY = pytest.mark.parametrize("together", [in_threads, in_processes])
CROWD = 6


class RacePromises(Setting):
    def _check(self, together: Callable[..., Any]) -> None:
        if together is in_processes and not self.processes:
            pytest.skip("this store lives in one process")

    def _open(self, store: Store, namespace: str, together: Callable[..., Any]) -> Store:
        """In threads the racers share the store object, in processes each has its own."""
        if together is in_threads:
            return store
        own = self.make_store(namespace)
        own.prepare(None)
        return own

    @EACH_WAY
    def test_each_record_is_claimed_by_one(self, store: Store, namespace: str, later: int, together: Any) -> None:
        self._check(together)
        made = put(store, *(sample(f"d:{n}", later - n) for n in range(300)))

        def work(number: int) -> list[tuple[str, int, int]]:
            mine = self._open(store, namespace, together)
            got: list[tuple[str, int, int]] = []
            while True:
                batch = claim(mine, later, owner=f"beat-{number}", limit=17, lease_ms=60_000)
                got += [(r.key, r.version, r.token) for r in batch.records]
                if batch.next_ready_at > later:
                    return got

        got = [one for answer in together(CROWD, work) for one in answer]
        assert Counter(key for key, _, _ in got) == {r.key: 1 for r in made}
        assert {version for _, version, _ in got} == {2}

    @EACH_WAY
    def test_one_of_many_writers_wins(self, store: Store, namespace: str, together: Any) -> None:
        self._check(together)
        made = put(store, *(sample(f"d:{n}", 1) for n in range(30)))

        def work(number: int) -> list[Verdict]:
            mine = self._open(store, namespace, together)
            order = made if number % 2 else made[::-1]
            changes = [replace_with(r, replace(r, due_at=Instant(number))) for r in order]
            answers = dict(zip((c.key for c in changes), verdicts(mine.apply(changes)), strict=True))
            return [answers[r.key] for r in made]

        answers = together(CROWD, work)
        after = stored(store, *(r.key for r in made))
        for n, record in enumerate(after):
            winners = [number for number, answer in enumerate(answers) if answer[n] is Verdict.APPLIED]
            assert winners == [record.due_at]
            assert record.version == 2
        assert {v for answer in answers for v in answer} <= {Verdict.APPLIED, Verdict.STALE}

    @EACH_WAY
    def test_one_of_many_creators_wins(self, store: Store, namespace: str, together: Any) -> None:
        self._check(together)
        names = [f"d:{n}" for n in range(30)]

        def work(number: int) -> list[Verdict]:
            mine = self._open(store, namespace, together)
            return verdicts(mine.apply([create(sample(name, number)) for name in names]))

        answers = together(CROWD, work)
        for n, record in enumerate(stored(store, *map(Key, names))):
            winners = [number for number, answer in enumerate(answers) if answer[n] is Verdict.APPLIED]
            assert winners == [record.due_at]
        assert {v for answer in answers for v in answer} == {Verdict.APPLIED, Verdict.EXISTS}

    @EACH_WAY
    def test_one_of_many_makes_the_child(self, store: Store, namespace: str, together: Any) -> None:
        self._check(together)
        [parent] = put(store, sample("d:a", 1))
        keys = [one_shot_key(parent.key, Instant(n), "g1") for n in range(3)]

        def work(number: int) -> Verdict:
            mine = self._open(store, namespace, together)
            children = tuple(sample(key, number) for key in keys)
            change = replace_with(parent, replace(parent, due_at=Instant(number)), creates=children)
            return mine.apply([change]).written[0].verdict

        answers = together(CROWD, work)
        winners = [n for n, verdict in enumerate(answers) if verdict is Verdict.APPLIED]
        made = {record.due_at for record in stored(store, parent.key, *keys)}
        assert winners == list(made)

    @EACH_WAY
    def test_a_claim_and_a_write_never_both_hold(self, store: Store, namespace: str, later: int, together: Any) -> None:
        """Half of the racers claim, the others renew at the last moment: a record is one's or the other's."""
        self._check(together)
        made = put(store, *(sample(f"d:{n}", later) for n in range(40)))

        def work(number: int) -> list[str]:
            mine = self._open(store, namespace, together)
            if number % 2:
                return [r.key for r in claim(mine, later, owner=f"beat-{number}", lease_ms=60_000).records]
            lease = Lease(owner=f"worker-{number}", until=Instant(0))
            changes = [replace_with(r, replace(r, lease=lease), lease_for=60_000) for r in made]
            written = mine.apply(changes, seen=Instant(later)).written
            return [c.key for c, w in zip(changes, written, strict=True) if w.verdict is Verdict.APPLIED]

        held = Counter(key for answer in together(CROWD, work) for key in answer)
        assert held == {r.key: 1 for r in made}

    @EACH_WAY
    def test_counting_together_loses_nothing(self, store: Store, namespace: str, together: Any) -> None:
        self._check(together)
        put(store, sample("d:a", 0))

        def work(number: int) -> int:
            mine = self._open(store, namespace, together)
            tries = 0
            for _ in range(10):
                while True:
                    [before] = stored(mine, Key("d:a"))
                    after = replace(before, due_at=Instant(before.due_at + 1))
                    tries += 1
                    if verdicts(mine.apply([replace_with(before, after)])) == [Verdict.APPLIED]:
                        break
            return tries

        tries = together(CROWD, work)
        [record] = stored(store, Key("d:a"))
        assert (record.due_at, record.version) == (10 * CROWD, 10 * CROWD + 1)
        assert sum(tries) >= 10 * CROWD

"""Applying many changes: each stands and falls alone, but for the records that it creates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import one_shot_key
from celery_pyncette.core.records import Key, Lease
from celery_pyncette.stores.protocol import Expected, Founding, Store, Verdict, Written
from celery_pyncette.testing.contract.samples import create, replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, claim, keys, put, stored, verdicts

APPLIED, STALE, MISSING, EXISTS = Verdict.APPLIED, Verdict.STALE, Verdict.MISSING, Verdict.EXISTS
A = Key("d:a")
LEASE = Lease(owner="host:1:abc", until=Instant(0))


class BundlePromises(Setting):
    def test_changes_of_one_call_stand_and_fall_alone(self, store: Store) -> None:
        a, b = put(store, sample("d:a"), sample("d:b"))
        changes = [
            create(sample("d:a")),
            create(sample("d:new", 3)),
            replace_with(replace(b, version=9), None),
            replace_with(sample("d:gone", version=1), sample("d:gone")),
        ]
        assert verdicts(store.apply(changes)) == [EXISTS, APPLIED, STALE, MISSING]
        assert stored(store, a.key, b.key, Key("d:new"))[:2] == [a, b]

    def test_a_large_call_is_answered_in_order(self, store: Store) -> None:
        made = put(store, *(sample(f"d:{n:03}", n) for n in range(150)))
        changes = [
            replace_with(r, replace(r, due_at=Instant(r.due_at + 1)) if n % 3 else None) for n, r in enumerate(made)
        ]
        changes = [c if n % 5 else replace(c, expect=Expected("x", 1)) for n, c in enumerate(changes)]
        written = store.apply(changes[::-1]).written[::-1]
        for n, (record, answer) in enumerate(zip(made, written, strict=True)):
            expected = Written(STALE) if n % 5 == 0 else Written(APPLIED, 2 if n % 3 else 0)
            assert answer == expected, record.key

    def test_no_change_is_no_error(self, store: Store) -> None:
        before = store.now()
        applied = store.apply([])
        assert applied.written == ()
        assert before <= applied.now <= store.now()

    def test_children_are_made_with_their_parent(self, store: Store, later: Instant) -> None:
        [parent] = put(store, sample("d:a", 5))
        children = tuple(sample(one_shot_key(A, Instant(n), "g1"), later + n) for n in (1, 2))
        change = replace_with(parent, replace(parent, due_at=NEVER), creates=children)
        assert store.apply([change]).written == (Written(APPLIED, 2),)
        made = stored(store, *(c.key for c in children))
        assert made == [replace(c, version=1, write_id=change.write_id) for c in children]
        assert store.apply([change]).written == (Written(APPLIED, 2),)
        assert stored(store, *(c.key for c in children)) == made
        assert keys(claim(store, later + 2).records) == keys(children)

    @pytest.mark.parametrize("new", [False, True], ids=["replaced", "new"])
    def test_neither_parent_nor_children_are_written_if_one_child_exists(self, store: Store, new: bool) -> None:
        before = [] if new else put(store, sample("d:a", 5))
        one, two, three = (sample(one_shot_key(A, Instant(n), "g1"), n) for n in (1, 2, 3))
        [there] = put(store, replace(two, generation="other"))
        after = sample("d:a", 9)
        change = (
            create(after, creates=(one, two, three))
            if new
            else replace_with(before[0], after, creates=(one, two, three))
        )
        alongside = create(sample("d:b", 1))
        assert verdicts(store.apply([change, alongside])) == [EXISTS, APPLIED]
        fetched = store.fetch([A, one.key, two.key, three.key]).records
        assert fetched == (None if new else before[0], None, there, None)

    def test_a_stale_parent_makes_no_children(self, store: Store) -> None:
        [parent] = put(store, sample("d:a", 5))
        child = sample(one_shot_key(A, Instant(1), "g1"))
        change = replace_with(replace(parent, version=4), parent, creates=(child,))
        assert verdicts(store.apply([change])) == [STALE]
        assert store.fetch([child.key]).records == (None,)

    def test_a_parent_can_leave_children_behind(self, store: Store) -> None:
        [parent] = put(store, sample("d:a", 5))
        child = sample(one_shot_key(A, Instant(1), "g1"))
        assert store.apply([replace_with(parent, None, creates=(child,))]).written == (Written(APPLIED, 0),)
        assert keys(stored(store, child.key)) == [child.key]
        assert store.fetch([A]).records == (None,)

    def test_a_child_of_another_partition_is_refused(self, namespace: str) -> None:
        store = self.make_store(namespace)
        store.prepare(Founding(partitions=64))
        with pytest.raises(ValueError, match="partition"):
            store.apply([create(sample("d:a"), creates=(sample("d:b"),))])
        assert store.fetch([A, Key("d:b")]).records == (None, None)
        store.close()

"""Applying: compare-and-set, what is known again, leases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.clock import new_id
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import NOBODY, Key, Lease, Token
from celery_pyncette.stores.protocol import Change, Expected, Store, Verdict, Written
from celery_pyncette.testing.contract.samples import create, replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, claim, keys, put, stored, verdicts

APPLIED, STALE, MISSING, EXISTS = Verdict.APPLIED, Verdict.STALE, Verdict.MISSING, Verdict.EXISTS
A = Key("d:a")
LEASE = Lease(owner="host:1:abc", until=Instant(0))


class WritePromises(Setting):
    def test_a_new_record_has_version_one_and_the_id_of_its_write(self, store: Store) -> None:
        change = create(sample("d:a", 5, version=77, write_id="other", token=Token(9)))
        assert store.apply([change]).written == (Written(APPLIED, 1),)
        expected = sample("d:a", 5, version=1, write_id=change.write_id, token=Token(9))
        assert stored(store, A) == [expected]

    def test_a_replacement_raises_the_version_by_one(self, store: Store) -> None:
        [before] = put(store, sample("d:a", 5, token=Token(50)))
        after = replace(before, due_at=Instant(9), generation="g2", token=Token(3), version=500)
        change = replace_with(before, after)
        assert store.apply([change]).written == (Written(APPLIED, 2),)
        assert stored(store, A) == [replace(after, version=2, write_id=change.write_id)]

    def test_what_is_written_is_ready_when_it_says(self, store: Store, later: Instant) -> None:
        [before] = put(store, sample("d:a", NEVER))
        store.apply([replace_with(before, replace(before, due_at=later))])
        batch = claim(store, later - 1)
        assert (batch.records, batch.next_ready_at) == ((), later)
        assert keys(claim(store, later).records) == ["d:a"]

    def test_an_existing_record_is_not_made_again(self, store: Store) -> None:
        [before] = put(store, sample("d:a", 5))
        assert store.apply([create(sample("d:a", 9))]).written == (Written(EXISTS),)
        assert stored(store, A) == [before]

    @pytest.mark.parametrize(
        "expect", [Expected("g1", 2), Expected("g1", 0), Expected("g2", 1)], ids=["newer", "older", "redefined"]
    )
    def test_somebody_elses_change_makes_ours_stale(self, store: Store, expect: Expected) -> None:
        [before] = put(store, sample("d:a", 5))
        change = Change(key=A, expect=expect, record=sample("d:a", 9), write_id=new_id())
        deletion = Change(key=A, expect=expect, record=None, write_id=new_id())
        assert store.apply([change]).written == (Written(STALE),)
        assert store.apply([deletion]).written == (Written(STALE),)
        assert stored(store, A) == [before]

    def test_what_is_not_there_is_missing(self, store: Store) -> None:
        for record in (sample("d:a"), None):
            change = Change(key=A, expect=Expected("g1", 1), record=record, write_id=new_id())
            assert store.apply([change]).written == (Written(MISSING),)
        assert store.fetch([A]).records == (None,)

    def test_a_deletion_deletes_and_asked_again_is_missing(self, store: Store, later: Instant) -> None:
        [before] = put(store, sample("d:a", later))
        deletion = replace_with(before, None)
        assert store.apply([deletion]).written == (Written(APPLIED, 0),)
        assert store.fetch([A]).records == (None,)
        assert claim(store, later).records == ()
        assert store.apply([deletion]).written == (Written(MISSING),)

    def test_a_record_made_anew_starts_at_version_one(self, store: Store) -> None:
        [before] = put(store, sample("d:a", 5))
        store.apply([replace_with(before, None)])
        [after] = put(store, sample("d:a", 6, generation="g2"))
        assert (after.generation, after.version) == ("g2", 1)

    def test_deleting_what_should_not_be_there_is_done_already(self, store: Store) -> None:
        assert verdicts(store.apply([Change(key=A, expect=None, record=None, write_id=new_id())])) == [APPLIED]

    # --- the same write again ---

    def test_a_creation_asked_again_is_applied_once(self, store: Store) -> None:
        change = create(sample("d:a", 5))
        store.apply([change])
        before = stored(store, A)
        assert store.apply([change]).written == (Written(APPLIED, 1),)
        assert stored(store, A) == before

    def test_a_replacement_asked_again_is_applied_once(self, store: Store) -> None:
        [before] = put(store, sample("d:a", 5))
        change = replace_with(before, replace(before, due_at=Instant(9), generation="g2"))
        store.apply([change])
        after = stored(store, A)
        assert store.apply([change]).written == (Written(APPLIED, 2),)
        assert stored(store, A) == after

    def test_a_leased_write_asked_again_does_not_prolong_its_lease(self, store: Store, later: Instant) -> None:
        [before] = put(store, sample("d:a", 5))
        change = replace_with(before, replace(before, lease=LEASE), lease_for=1_000)
        store.apply([change], seen=later)
        after = stored(store, A)
        store.apply([change], seen=Instant(later + 500))
        assert stored(store, A) == after

    def test_a_write_that_was_followed_by_another_is_stale_when_asked_again(self, store: Store) -> None:
        [before] = put(store, sample("d:a", 5))
        ours = replace_with(before, replace(before, due_at=Instant(9)))
        store.apply([ours])
        [after] = stored(store, A)
        store.apply([replace_with(after, replace(after, due_at=Instant(11)))])
        assert store.apply([ours]).written == (Written(STALE),)
        assert stored(store, A)[0].due_at == 11

    def test_a_creation_that_was_followed_by_another_write_exists_when_asked_again(self, store: Store) -> None:
        ours = create(sample("d:a", 5))
        store.apply([ours])
        [after] = stored(store, A)
        store.apply([replace_with(after, replace(after, due_at=Instant(11)))])
        assert store.apply([ours]).written == (Written(EXISTS),)

    def test_a_write_is_known_again_after_a_claim_by_its_own_version(self, store: Store, later: Instant) -> None:
        """So that what its writer decides next is refused: the record is another's now."""
        [before] = put(store, sample("d:a", later))
        ours = replace_with(before, before)
        store.apply([ours])
        [claimed] = claim(store, later).records
        assert claimed.version == 3
        assert store.apply([ours]).written == (Written(APPLIED, 2),)
        assert stored(store, A) == [claimed]

    def test_the_parts_of_a_call_asked_again_are_told_apart(self, store: Store) -> None:
        a, b = put(store, sample("d:a"), sample("d:b"))
        first, second = replace_with(a, replace(a, due_at=Instant(1))), replace_with(b, replace(b, due_at=Instant(2)))
        store.apply([first])
        assert verdicts(store.apply([first, second])) == [APPLIED, APPLIED]
        assert [(r.due_at, r.version) for r in stored(store, a.key, b.key)] == [(1, 2), (2, 2)]

    # --- leases ---

    def test_the_store_adds_the_duration_of_a_lease(self, store: Store) -> None:
        [before] = put(store, sample("d:a", NEVER))
        earliest = store.now()
        applied = store.apply([replace_with(before, replace(before, lease=LEASE), lease_for=60_000)])
        [after] = stored(store, A)
        assert after.lease is not None
        assert after.lease.owner == LEASE.owner
        assert earliest + 60_000 <= after.lease.until <= store.now() + 60_000
        assert earliest <= applied.now <= store.now()

    def test_a_lease_counts_from_the_highest_time_seen(self, store: Store, later: Instant) -> None:
        lease = Lease(owner=NOBODY, until=Instant(0))
        applied = store.apply([create(sample("d:a", 0, lease=lease), lease_for=1_000)], seen=later)
        assert applied.now == later
        assert stored(store, A)[0].lease == Lease(owner=NOBODY, until=Instant(later + 1_000))
        assert claim(store, later + 999).records == ()
        assert keys(claim(store, later + 1_000).records) == ["d:a"]

    def test_a_lease_without_duration_stands_as_written(self, store: Store, later: Instant) -> None:
        put(store, sample("d:a", 0, lease=Lease(owner="w", until=Instant(later + 7))))
        assert claim(store, later + 6).next_ready_at == later + 7
        assert keys(claim(store, later + 7).records) == ["d:a"]

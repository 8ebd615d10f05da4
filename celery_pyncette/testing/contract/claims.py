"""Claiming: what is handed out, to whom, for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import META, partition_of
from celery_pyncette.core.records import Key, Lane, Lease, Token
from celery_pyncette.stores.protocol import Founding, Store, Verdict
from celery_pyncette.testing.contract.samples import REPORTED, create, replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, claim, keys, put, stored, verdicts


class ClaimPromises(Setting):
    def test_ready_records_are_handed_out_oldest_first(self, store: Store, later: Instant) -> None:
        put(store, *(sample(f"d:{n}", later - n) for n in (3, 1, 2)), sample("d:not-yet", later + 1))
        assert keys(claim(store, later).records) == ["d:3", "d:2", "d:1"]

    def test_a_record_is_ready_at_its_very_millisecond(self, store: Store, later: Instant) -> None:
        put(store, sample("d:now", later))
        assert claim(store, later - 1).records == ()
        assert keys(claim(store, later).records) == ["d:now"]

    def test_the_limit_cuts_the_youngest_and_says_when_they_were_ready(self, store: Store, later: Instant) -> None:
        put(store, *(sample(f"d:{n}", later - 10 + n) for n in range(5)))
        batch = claim(store, later, limit=3)
        assert keys(batch.records) == ["d:0", "d:1", "d:2"]
        assert batch.next_ready_at == later - 7
        assert keys(claim(store, later, limit=3).records) == ["d:3", "d:4"]

    def test_with_nothing_due_it_answers_when_to_come_back(self, store: Store, later: Instant) -> None:
        put(store, sample("d:b", later + 900), sample("d:a", later + 700), sample("d:c", NEVER))
        batch = claim(store, later)
        assert (batch.now, batch.records, batch.next_ready_at) == (later, (), later + 700)

    def test_what_is_claimed_does_not_hide_what_comes_next(self, store: Store, later: Instant) -> None:
        put(store, sample("d:a", later), sample("d:b", later + 5))
        assert claim(store, later, lease_ms=10_000).next_ready_at == later + 5

    def test_an_empty_lane_is_ready_never(self, store: Store, later: Instant) -> None:
        batch = claim(store, later)
        assert (batch.records, batch.next_ready_at, batch.meta) == ((), NEVER, True)

    def test_a_claim_says_the_stores_time(self, store: Store) -> None:
        before = store.now()
        batch = claim(store, 0)
        assert before <= batch.now <= store.now()

    def test_a_claimed_record_is_stored_as_it_was_answered(self, store: Store, later: Instant) -> None:
        put(store, sample("d:a", later - 5, run=REPORTED, data={"x": [1]}, body=b"raw"))
        [claimed] = claim(store, later).records
        assert stored(store, claimed.key) == [claimed]

    def test_a_claim_changes_version_token_and_lease_alone(self, store: Store, later: Instant) -> None:
        [before] = put(store, sample("d:a", later - 5, run=REPORTED))
        [after] = claim(store, later, owner="host:1:abc", lease_ms=7_000).records
        lease = Lease(owner="host:1:abc", until=Instant(later + 7_000))
        assert after == replace(before, version=before.version + 1, token=Token(later), lease=lease)
        assert after.ready_at == later + 7_000

    def test_a_lease_keeps_others_out_until_it_ends(self, store: Store, later: Instant) -> None:
        put(store, sample("d:a", later))
        claim(store, later, lease_ms=5_000)
        early = claim(store, later + 4_999, owner="beat-2")
        assert (early.records, early.next_ready_at) == ((), later + 5_000)
        [again] = claim(store, later + 5_000, owner="beat-2").records
        assert again.lease is not None
        assert again.lease.owner == "beat-2"
        assert again.version == 3

    def test_tokens_only_grow(self, store: Store, later: Instant) -> None:
        ahead = Token(later + 10**9)
        put(store, sample("d:a", later), sample("d:ahead", later, token=ahead))
        first = {r.key: r.token for r in claim(store, later, lease_ms=0).records}
        second = {r.key: r.token for r in claim(store, later, lease_ms=0).records}
        assert first == {"d:a": later, "d:ahead": ahead + 1}
        assert second == {"d:a": later + 1, "d:ahead": ahead + 2}

    def test_a_clock_that_steps_back_revives_nothing(self, store: Store, later: Instant) -> None:
        """The lease was given at a time this process has seen; by the store's own clock it starts tomorrow."""
        put(store, sample("d:a", 0))
        [leased] = claim(store, later, lease_ms=1_000).records
        batch = claim(store, 0, owner="beat-2")
        assert batch.records == ()
        assert batch.now < later
        assert stored(store, leased.key) == [leased]

    def test_lanes_do_not_mix(self, store: Store, later: Instant) -> None:
        put(store, sample("d:entry", later - 2), sample("e:parked", later - 1, lane=Lane.DELAYED))
        put(store, sample("p:beat", later - 3, lane=Lane.KEEPING))
        assert keys(claim(store, later, lane=Lane.DELAYED).records) == ["e:parked"]
        batch = claim(store, later)
        assert keys(batch.records) == ["d:entry"]
        assert batch.next_ready_at >= later + 10_000  # of the other lanes nothing, of its own at most the new lease
        assert stored(store, Key("p:beat"))[0].version == 1

    def test_never_is_never(self, store: Store) -> None:
        put(store, sample("d:a", NEVER))
        assert claim(store, NEVER - 1_000_000, lease_ms=0).records == ()

    def test_the_meta_flag_falls_with_the_meta_record(self, store: Store, later: Instant) -> None:
        put(store, sample("d:a", later))
        [meta] = stored(store, META)
        store.apply([replace_with(meta, None)])
        assert claim(store, later - 1).meta is False
        batch = claim(store, later)
        assert (keys(batch.records), batch.meta) == (["d:a"], False)

    def test_a_corrupt_record_is_leased_and_told_of_and_costs_nobody_else(self, store: Store, later: Instant) -> None:
        put(store, *(sample(f"d:{n}", later) for n in ("bad", "good")))
        self.spoil(store, Key("d:bad"))
        batch = claim(store, later, lease_ms=5_000)
        assert keys(batch.records) == ["d:good"]
        assert [error.key for error in batch.corrupt] == ["d:bad"]
        assert claim(store, later + 4_999).corrupt == ()
        assert [error.key for error in claim(store, later + 5_000).corrupt] == ["d:bad"]
        with pytest.raises(CorruptRecord, match="d:bad"):
            store.fetch([Key("d:good"), Key("d:bad")])

    def test_each_partition_hands_out_its_own(self, namespace: str) -> None:
        store = self.make_store(namespace)
        store.prepare(Founding(partitions=4))
        later = store.now() + 1_000_000
        made = [sample(f"d:{n}", later - n) for n in range(40)]
        put(store, *made)
        for partition in range(4):
            expected = [r.key for r in reversed(made) if partition_of(r.key, 4) == partition]
            batch = claim(store, later, partitions=(partition,), limit=3)
            assert keys(batch.records) == expected[:3]
            assert batch.next_ready_at == later - int(expected[3][2:])
            assert keys(claim(store, later, partitions=(partition,)).records) == expected[3:]
        assert claim(store, later).records == ()
        store.close()

    def test_all_partitions_are_claimed_when_none_is_named(self, namespace: str) -> None:
        store = self.make_store(namespace)
        store.prepare(Founding(partitions=4))
        later = store.now() + 1_000_000
        put(store, *(sample(f"d:{n}", later - n) for n in range(40)))
        batch = claim(store, later)
        assert sorted(keys(batch.records)) == sorted(f"d:{n}" for n in range(40))
        assert [r.due_at for r in batch.records] == sorted(r.due_at for r in batch.records)
        store.close()

    def test_namespaces_do_not_see_each_other(self, store: Store, namespace: str, later: Instant) -> None:
        other = self.make_store(namespace + "-other")
        other.prepare(Founding())
        put(store, sample("d:a", later))
        assert claim(other, later).records == ()
        assert other.fetch([Key("d:a")]).records == (None,)
        assert verdicts(other.apply([create(sample("d:a", later + 1))])) == [Verdict.APPLIED]
        [mine], [theirs] = stored(store, Key("d:a")), stored(other, Key("d:a"))
        assert (mine.due_at, theirs.due_at) == (later, later + 1)
        other.close()

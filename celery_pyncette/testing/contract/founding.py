"""Preparing a namespace, closing, forking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from celery_pyncette.core.errors import SchemaMismatch
from celery_pyncette.core.partitions import META
from celery_pyncette.core.records import Key, Lane
from celery_pyncette.stores.protocol import Founding, Meta, Store
from celery_pyncette.testing.contract.samples import replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, claim, keys, put, stored
from celery_pyncette.testing.contract.together import in_processes, in_threads


class FoundingPromises(Setting):
    def test_a_namespace_is_founded_once_and_read_from_then_on(self, namespace: str) -> None:
        first, second = self.make_store(namespace), self.make_store(namespace)
        meta = first.prepare(Founding(fingerprint="app@broker", partitions=8))
        assert (meta.fingerprint, meta.partitions, meta.epoch) == ("app@broker", 8, 0)
        assert len(meta.store_id) >= 16
        assert second.prepare(Founding(fingerprint="another", partitions=2)) == meta
        assert second.prepare(None) == meta
        assert first.partitions == second.partitions == 8  # type: ignore[attr-defined]
        first.close()
        second.close()

    def test_each_namespace_has_its_own_id(self, namespace: str) -> None:
        ids = set()
        for part in "ab":
            store = self.make_store(f"{namespace}-{part}")
            ids.add(store.prepare(Founding()).store_id)
            store.close()
        assert len(ids) == 2

    def test_the_meta_record_is_kept_apart(self, store: Store) -> None:
        [record] = stored(store, META)
        assert (record.lane, record.version) == (Lane.KEEPING, 1)
        assert record.data is not None
        assert {"store_id", "partitions", "fingerprint", "epoch"} <= set(record.data)

    def test_who_may_not_create_is_told_what_is_missing(self, namespace: str) -> None:
        store = self.make_store(namespace)
        with pytest.raises(SchemaMismatch):
            store.prepare(None)
        store.prepare(Founding())
        store.close()

    def test_a_namespace_that_was_emptied_is_founded_anew(self, store: Store) -> None:
        before = store.prepare(None)
        store.apply([replace_with(stored(store, META)[0], None)])
        with pytest.raises(SchemaMismatch):
            store.prepare(None)
        after = store.prepare(Founding(fingerprint=before.fingerprint))
        assert after.store_id != before.store_id

    @pytest.mark.parametrize("together", [in_threads, in_processes])
    def test_ten_beats_may_start_at_once(self, namespace: str, together: Callable[..., Any]) -> None:
        if together is in_processes and not self.processes:
            pytest.skip("this store lives in one process")

        def prepare(number: int) -> Meta:
            store = self.make_store(namespace)
            meta = store.prepare(Founding(fingerprint=f"app-{number}"))
            store.close()
            return meta

        metas = together(10, prepare)
        assert len(metas) == 10
        assert len(set(metas)) == 1

    def test_a_closed_store_connects_again(self, store: Store, later: int) -> None:
        put(store, sample("d:a", later))
        store.close()
        store.close()
        assert keys(claim(store, later).records) == ["d:a"]

    def test_a_forked_child_gets_connections_of_its_own(self, store: Store, later: int) -> None:
        """Parent and child use one store object at once; with a shared connection their answers would mix."""
        if not self.processes:
            pytest.skip("this store lives in one process")
        put(store, *(sample(f"d:{n}", later) for n in range(4)))

        def work(number: int) -> list[Key | None]:
            keys_of = [Key(f"d:{number}"), Key("d:none"), Key(f"d:{number + 1}")]
            found = {tuple(None if r is None else r.key for r in store.fetch(keys_of).records) for _ in range(50)}
            assert len(found) == 1
            return list(found.pop())

        assert in_processes(3, work) == [[f"d:{n}", None, f"d:{n + 1}"] for n in range(3)]
        assert work(0) == ["d:0", None, "d:1"]

from __future__ import annotations

from dataclasses import replace

import pytest

from celery_pyncette.core.records import Key
from celery_pyncette.stores.memory import MemoryStore, Space
from celery_pyncette.stores.rows import Entry
from celery_pyncette.testing import StoreContract


@pytest.mark.store("memory")
class TestMemoryStore(StoreContract):
    processes = False

    @pytest.fixture(autouse=True)
    def _space(self) -> None:
        self.space = Space()

    def make_store(self, namespace: str) -> MemoryStore:
        return MemoryStore(namespace, space=self.space)

    def spoil(self, store: MemoryStore, key: Key) -> None:
        rows = self.space.namespaces[store.namespace]
        entry = rows[key]
        rows[key] = Entry(replace(entry.row, document="{"), entry.facets)

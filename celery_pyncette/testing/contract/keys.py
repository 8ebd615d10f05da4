"""Keys and names: distinct by their bytes, ordered by their bytes, with no character that means anything."""

from __future__ import annotations

import pytest

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.records import Key
from celery_pyncette.stores.protocol import Query, Store
from celery_pyncette.testing.contract.reads import everything, pages
from celery_pyncette.testing.contract.samples import replace_with, sample
from celery_pyncette.testing.contract.setting import Setting, claim, keys, put, stored

ODD = [
    *("a", "A", "á", "a\u0301", "ａ", "a ", "a  ", " a", "a\t", "ß", "ss", "ı", "I", "i", "İ"),
    *("%", "%%", "_", "a%", "a_", "{}", "{a}", "*", "a*", "[a]", "?", ":", "a:b", "::", "@", "a@1@g"),
    *("'", "''", '"', "`", "\\", "\\\\", "\\'", "$1", "%s", "%(a)s", ":a", "--", ";", "/", "#", "\u200b", "\ue000"),
    *("🕐", "🕐🕐", "\U0010ffff", "\ud7ff", "日本", "\u2028", "x" * 598, "ä" * 299),
]


class KeyPromises(Setting):
    def test_keys_are_distinct_by_their_bytes(self, store: Store, later: Instant) -> None:
        made = [sample(f"d:{odd}", later + n) for n, odd in enumerate(ODD)]
        before = put(store, *made)
        assert keys(before) == keys(made)
        changes = [replace_with(r, None) for r in before[::2]]
        store.apply(changes)
        assert keys(claim(store, later + len(ODD)).records) == keys(before[1::2])

    def test_a_scan_goes_in_the_order_of_bytes(self, store: Store) -> None:
        made = [sample(f"d:{odd}", NEVER) for odd in ODD]
        put(store, *made)
        expected = sorted(keys(made), key=str.encode)
        for limit in (1, 7, 100):
            found = pages(store, Query(prefix="d:", limit=limit))
            assert [key for page in found for key in page] == expected

    def test_prefixes_mean_their_bytes(self, store: Store) -> None:
        put(store, *(sample(f"d:{odd}", NEVER, name=odd) for odd in ODD))
        for prefix in ("", *ODD):
            expected = sorted((f"d:{odd}" for odd in ODD if odd.startswith(prefix)), key=str.encode)
            assert everything(store, Query(prefix=f"d:{prefix}")) == expected, prefix
            assert everything(store, Query(prefix="d:", name_prefix=prefix)) == expected, prefix

    def test_tasks_are_compared_by_their_bytes(self, store: Store) -> None:
        put(store, *(sample(f"d:{n}", NEVER, task=odd) for n, odd in enumerate(ODD)))
        for n, odd in enumerate(ODD[:30]):
            assert everything(store, Query(task=odd)) == [f"d:{n}"], odd

    def test_a_key_may_have_600_bytes(self, store: Store) -> None:
        key = Key("o:" + "k" * 298 + "ü" * 150)
        assert len(key.encode()) == 600
        put(store, sample(key, NEVER, name="n"))
        assert stored(store, key)[0].key == key

    @pytest.mark.parametrize(
        "key", ["", "d:" + "k" * 599, "d:\0", "d:\udc80"], ids=["empty", "too long", "zero byte", "lone surrogate"]
    )
    def test_a_key_that_no_store_could_keep_is_refused(self, store: Store, key: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            put(store, sample("d:good", 5), sample(key, NEVER, name="n"))
        assert store.fetch([Key("d:good")]).records == (None,)

    def test_a_body_of_the_document_that_is_no_unicode_is_refused(self, store: Store) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            put(store, sample("d:a", NEVER, kwargs={"text": "\udc80"}))

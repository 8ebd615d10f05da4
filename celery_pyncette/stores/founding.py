"""How a namespace is founded, the same over every store: one record, ``m:meta``, made once.

A store's ``prepare`` first sees to its own schema, then calls :func:`found` and keeps
``Meta.partitions``. Everything goes through ``fetch`` and ``apply(expect=None)``: when ten beats start
at once, one of them founds, the others are told EXISTS and read what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery_pyncette.clock import new_id
from celery_pyncette.core.errors import SchemaMismatch
from celery_pyncette.core.partitions import META
from celery_pyncette.core.records import EntrySpec, Lane, Origin, Record
from celery_pyncette.stores.protocol import Change, Founding, Meta, Store, Verdict


def found(store: Store, founding: Founding | None, partitions: int = 1) -> Meta:
    """The namespace's meta record; made from ``founding`` if it is not there yet.

    :param partitions: the store's default for a founding that names no number.
    :raises SchemaMismatch: if it is missing and ``founding`` is None.
    """
    while True:
        meta = read_meta(store)
        if meta is not None:
            return meta
        if founding is None:
            raise SchemaMismatch(
                "the namespace is not in the store; a beat or `celery pyncette store upgrade` founds it"
            )
        meta = Meta(
            store_id=founding.store_id or new_id(),
            partitions=founding.partitions or partitions,
            fingerprint=founding.fingerprint,
        )
        change = Change(key=META, expect=None, record=_record(meta), write_id=new_id())
        if store.apply([change]).written[0].verdict is Verdict.APPLIED:
            return meta


def read_meta(store: Store) -> Meta | None:
    """What the namespace says of itself; None if it is not founded."""
    record = store.fetch([META]).records[0]
    return None if record is None else _meta(record.data or {})


def _meta(data: Mapping[str, Any]) -> Meta:
    return Meta(
        store_id=data["store_id"],
        partitions=data["partitions"],
        fingerprint=data["fingerprint"],
        epoch=data.get("epoch", 0),
    )


def _record(meta: Meta) -> Record:
    return Record(
        key=META,
        lane=Lane.KEEPING,
        generation=new_id(),
        spec=EntrySpec(name=META, task="", origin=Origin.KEEPING),
        data={
            "store_id": meta.store_id,
            "partitions": meta.partitions,
            "fingerprint": meta.fingerprint,
            "epoch": meta.epoch,
        },
    )

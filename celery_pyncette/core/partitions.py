"""Key to partition: a stable hash, the same in every process and release."""

from __future__ import annotations

import zlib

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key

META = Key("m:meta")


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, ``0 <= p < partitions``.

    Keeping records (``m:``, ``p:``) live in partition 0; a one-shot (``o:``) in that of its parent,
    so that both can be written in one change.
    """
    if partitions == 1 or key[:2] in ("m:", "p:"):
        return 0
    if key.startswith("o:"):
        key = parent_of(key)
    return zlib.crc32(key.encode()) % partitions


def one_shot_key(parent: str, due_at: Instant, generation: str) -> Key:
    """The key of one occurrence of ``parent``: of one definition, so that a successor's never collides."""
    return Key(f"o:{parent}@{due_at}@{generation[:8]}")


def parent_of(key: str) -> str:
    """The key of a one-shot's parent."""
    return key[2:].rsplit("@", 2)[0]

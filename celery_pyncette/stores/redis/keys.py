"""Names of the Redis keys: everything of one partition has one hash tag, hence one Cluster slot.

======================================  ========  ====================================================
``pyncette:{ns:0}:s:report``            HASH      one record; its fields are in ``fields.py``
``pyncette:{ns:0}/ready/0``             ZSET      ``ready_at`` by record key, one per claimable lane
``pyncette:{ns:0}/keys``                ZSET      record keys at score 0, for scans in key order
``pyncette:{ns:0}/wake``                STREAM    the last wake-up; in partition 0 only
======================================  ========  ====================================================

Keeping records (lane 2) are never claimed and have no ready index.
"""

from __future__ import annotations

from celery_pyncette.core.records import Lane

#: Braces would end the hash tag early; the per cent sign keeps the escape unambiguous.
_ESCAPES = str.maketrans({"%": "%25", "{": "%7B", "}": "%7D"})


class PartitionKeys:
    """The keys of one partition of a namespace.

    ``prefix`` + record key is a record's hash; a record key may contain braces, because only the
    first pair in a Redis key is its tag. ``skip`` is the length of ``prefix`` in bytes.
    """

    __slots__ = ("index", "prefix", "ready", "skip", "wake")

    def __init__(self, namespace: str, partition: int) -> None:
        tag = f"pyncette:{{{namespace.translate(_ESCAPES)}:{partition}}}"
        self.prefix = f"{tag}:"
        self.skip = len(self.prefix.encode())
        self.index = f"{tag}/keys"
        self.wake = f"{tag}/wake"
        self.ready = {lane: f"{tag}/ready/{lane.value}" for lane in Lane}

    def record(self, key: str) -> str:
        """The hash of a record."""
        return self.prefix + key

"""The key of a record: its one name in a store, 1-600 bytes of UTF-8.

It begins with its kind: ``s:`` a static entry, ``d:`` a dynamic one, ``o:`` one occurrence of either, ``e:`` a parked
message, ``p:`` a presence, ``m:`` meta, manifests and their like.
"""

from __future__ import annotations

from typing import NewType

Key = NewType("Key", str)

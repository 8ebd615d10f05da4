"""Who may act on a record, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from celery_pyncette.core.instants import Instant

Token = NewType("Token", int)

#: The owner of a lease that only holds a record back.
NOBODY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may act on a record, and until when by the store's clock."""

    owner: str
    until: Instant

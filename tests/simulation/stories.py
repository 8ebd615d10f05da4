"""What is known from outside of each occurrence: its messages, its starts, the user code that ran for it, its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key

#: An occurrence: the key, the how-many-eth entry of that name, the due time.
Fired = tuple[Key, int, Instant]


@dataclass(slots=True, eq=False)
class Code:
    """User code that was begun: for which START, by whom, and how it ended (None: it goes on)."""

    key: Key
    owner: str
    token: int | None
    retries: int
    began_at: int
    how: str | None = None
    ended_at: int | None = None


@dataclass(slots=True)
class Story:
    """One occurrence. ``begun`` counts user code by the number of Celery retries and the deliveries asked for anew.

    ``failed``: starts that raised or were lost, as a beat has counted them. ``used_up``: how it ended, None until it
    has. ``recorded_at``: when a beat first took it up.
    """

    fired: Fired
    recorded_at: int
    sent: int = 0
    begun: Counter[tuple[int, int]] = field(default_factory=Counter)
    granted: Counter[tuple[str, int]] = field(default_factory=Counter)
    codes: list[Code] = field(default_factory=list)
    requeued: int = 0
    retried: int = 0
    failed: int = 0
    used_up: str | None = None
    began_first: int | None = None

    @property
    def completed(self) -> bool:
        """Whether user code has returned."""
        return any(code.how == "returned" for code in self.codes)

    @property
    def ended(self) -> bool:
        """Whether user code has ended by itself."""
        return any(code.how in ("returned", "raised", "ignored") for code in self.codes)


@dataclass(slots=True)
class Held:
    """Who holds the run of a record: the token, the end of its lease by the store's clock, the user code once begun."""

    token: int
    until: int
    story: Story
    started_at: int
    generation: str
    max_run: int = 0
    code: Code | None = None

    def valid(self, now: int) -> bool:
        """Whether its lease stands, and the user code has not ended."""
        return self.until > now and (self.code is None or self.code.how is None)

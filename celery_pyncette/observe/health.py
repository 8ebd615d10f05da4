"""How a beat is, told from its events: healthy, live, ready; and the numbers that are asked for at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celery_pyncette import events
from celery_pyncette.clock import Clock
from celery_pyncette.core.instants import NEVER, Instant

#: Beats that use another store are heard each minute; who was not heard for so long is gone. Seconds.
FOREIGN_FOR = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a probe is told: ``problems`` in words, none if all is well; ``body`` has no names and no arguments."""

    problems: tuple[str, ...]
    body: Mapping[str, Any]

    @property
    def well(self) -> bool:
        return not self.problems


class Health:
    """An Observer; events come from any thread, and each writes attributes that no other one does.

    :param grace: seconds after which the last successful claim is too old: ``pyncette_health_grace``.
    :param stuck_after: seconds without a sign of life after which the loop is taken to be stuck.
    """

    def __init__(self, clock: Clock, *, grace: float, stuck_after: float) -> None:
        self._clock = clock
        self._grace = grace
        self._stuck_after = stuck_after
        now = clock.monotonic()
        self._alive_at = now
        self._polled_at: float | None = None
        self._asked_at: dict[str, float] = {}
        self._store_answers = False
        self._broker_lost = False
        self._started = False
        self._in_hand: dict[int, int] = {}
        self._oldest: dict[int, Instant] = {}
        self._left: dict[int, Instant] = {}
        self._store_now = Instant(0)
        self._store_now_at = now
        self._offset: float | None = None
        self._beats = self._workers = 0
        self._foreign: dict[str, float] = {}
        self.parked: int | None = None
        """How many messages are parked, if somebody counts them."""
        self.dead: int | None = None
        """How many dead letters are kept, if somebody counts them."""
        self._look: Mapping[type[events.Event], Callable[[Any], None]] = {
            events.StoreAsked: self._store_asked,
            events.StoreCalled: self._store_called,
            events.Claimed: self._claimed,
            events.CycleEnded: self._cycle_ended,
            events.BeatStarted: self._beat_started,
            events.BrokerLost: lambda event: self._broker(lost=True),
            events.BrokerBack: lambda event: self._broker(lost=False),
            events.NeighboursSeen: self._neighbours_seen,
            events.ForeignStore: self._foreign_store,
        }

    def see(self, event: events.Event) -> None:
        """Take note of what an event says about this beat."""
        if isinstance(event, _SIGNS_OF_LIFE):
            self._alive_at = self._clock.monotonic()
        look = self._look.get(type(event))
        if look is not None:
            look(event)

    def _store_asked(self, event: events.StoreAsked) -> None:
        self._asked_at = {**self._asked_at, event.operation: self._clock.monotonic()}

    def _store_called(self, event: events.StoreCalled) -> None:
        self._asked_at = {name: at for name, at in self._asked_at.items() if name != event.operation}
        self._store_answers = event.error is None

    def _claimed(self, event: events.Claimed) -> None:
        now = self._clock.monotonic()
        self._polled_at = now
        self._in_hand = {**self._in_hand, event.lane: event.count}
        self._store_now, self._store_now_at = event.now, now
        self._offset = (event.now - self._clock.now()) / 1000
        left = event.next_ready_at if event.next_ready_at > 0 else event.now
        self._left[event.lane] = left
        self._oldest = {**self._oldest, event.lane: left if event.oldest is None else min(event.oldest, left)}

    def _cycle_ended(self, event: events.CycleEnded) -> None:
        self._in_hand = {**self._in_hand, event.lane: event.in_hand}
        self._oldest = {**self._oldest, event.lane: self._left.get(event.lane, NEVER)}

    def _beat_started(self, event: events.BeatStarted) -> None:
        del event
        self._started = True

    def _broker(self, *, lost: bool) -> None:
        self._broker_lost = lost

    def _neighbours_seen(self, event: events.NeighboursSeen) -> None:
        self._beats, self._workers = event.beats, event.workers

    def _foreign_store(self, event: events.ForeignStore) -> None:
        self._foreign = {**dict(list(self._foreign.items())[-50:]), event.theirs: self._clock.monotonic()}

    @property
    def lag(self) -> float:
        """Seconds that the oldest due record has waited, as far as this beat knows; grows while nothing is claimed."""
        oldest = min(self._oldest.values(), default=NEVER)
        now = self._store_now + (self._clock.monotonic() - self._store_now_at) * 1000
        return max(0.0, (now - oldest) / 1000)

    @property
    def store_up(self) -> bool:
        """Whether the store answered last, and lets nobody wait for too long now."""
        oldest = min(self._asked_at.values(), default=None)
        waits = 0.0 if oldest is None else self._clock.monotonic() - oldest
        return self._store_answers and waits < self._grace

    @property
    def poll_age(self) -> float | None:
        """Seconds since the last successful claim; None before the first."""
        return None if self._polled_at is None else self._clock.monotonic() - self._polled_at

    @property
    def loop_age(self) -> float:
        """Seconds since the loop's last sign of life."""
        return self._clock.monotonic() - self._alive_at

    @property
    def foreign(self) -> int:
        """How many other stores were heard of lately."""
        since = self._clock.monotonic() - FOREIGN_FOR
        return sum(at > since for at in self._foreign.values())

    @property
    def stuck(self) -> bool:
        """Whether the loop has shown no sign of life for too long."""
        return self.loop_age >= self._stuck_after

    def health(self) -> Answer:
        """Does it do its work: was the last successful poll recent enough, and is there one store only?"""
        age = self.poll_age
        problems = []
        if age is None or age >= self._grace:
            problems.append("the last successful poll is too old")
        if self.foreign:
            problems.append("another beat uses this namespace with another store: every run is doubled")
        return self._answer(problems)

    def live(self) -> Answer:
        """Is its loop alive: an outage of store or broker is no reason to restart it."""
        return self._answer(["the loop is stuck"] if self.stuck else [])

    def ready(self) -> Answer:
        """Has it started, and does the store answer?"""
        problems = [] if self._started else ["it has not started"]
        return self._answer(problems if self.store_up else [*problems, "the store does not answer"])

    def _answer(self, problems: list[str]) -> Answer:
        age = self.poll_age
        body = {
            "started": self._started,
            "store_reachable": self.store_up,
            "broker_reachable": not self._broker_lost,
            "last_poll_seconds": None if age is None else round(age, 3),
            "loop_seconds": round(self.loop_age, 3),
            "lag_seconds": round(self.lag, 3),
            "leases_in_hand": sum(self._in_hand.values()),
            "clock_offset_seconds": self._offset,
            "foreign_stores": self.foreign,
            "beats": self._beats,
            "gated_workers": self._workers,
        }
        return Answer(problems=tuple(problems), body={"problems": problems, **body})

    def states(self) -> dict[str, float]:
        """The metrics of kind STATE that are known, by name."""
        known = {
            "pyncette_lag_seconds": self.lag,
            "pyncette_poll_age_seconds": self.poll_age,
            "pyncette_loop_age_seconds": self.loop_age,
            "pyncette_healthy": float(self.health().well),
            "pyncette_store_up": float(self.store_up),
            "pyncette_broker_up": float(not self._broker_lost),
            "pyncette_leases_in_hand": float(sum(self._in_hand.values())),
            "pyncette_store_clock_offset_seconds": self._offset,
            "pyncette_beats": float(self._beats),
            "pyncette_gated_workers": float(self._workers),
            "pyncette_foreign_stores": float(self.foreign),
            "pyncette_parked_messages": None if self.parked is None else float(self.parked),
            "pyncette_dead_letters_kept": None if self.dead is None else float(self.dead),
        }
        return {name: value for name, value in known.items() if value is not None}


_SIGNS_OF_LIFE = (
    events.TickBegan,
    events.Ticked,
    events.StoreCalled,
    events.Claimed,
    events.PublishBegan,
    events.PublishEnded,
    events.CycleEnded,
)

"""The real schedules through two beats, for 26 hours over a clock change, from event to event.

Nothing is sent before its time, so a beat may sleep until the store's next one: each wakes up to one poll later.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.policies import Rules
from celery_pyncette.core.records import Lane, Origin
from celery_pyncette.core.schedules import Every
from celery_pyncette.engine.reconcile import Reconciler
from celery_pyncette.events import Observers
from celery_pyncette.stores.memory import Space
from celery_pyncette.stores.protocol import ClaimRequest
from celery_pyncette.stores.rows import Entry as StoredEntry
from celery_pyncette.testing.clock import FakeClock
from celery_pyncette.translate import Opaque, StaticEntry, translate_all
from tests.engine.desk import Desk, WatchedStore
from tests.simulation.book import Book, Entry
from tests.translate.real import real_app

HOUR, POLL = 3_600_000, 1_000


def real_entries(zone: str) -> dict[str, StaticEntry]:
    """All of them, in an app of this zone."""
    app = real_app()
    app.conf.timezone = zone
    understood, refused = translate_all(app)
    assert refused == {}
    return {name: entry for name, entry in understood.items() if ":" in name}


def distinct(entries: Mapping[str, StaticEntry]) -> dict[str, StaticEntry]:
    """One entry of each schedule."""
    return {name: entries[name] for name in {entry.timing: name for name, entry in entries.items()}.values()}


def seldom(entries: Mapping[str, StaticEntry], at_least: int) -> dict[str, StaticEntry]:
    """Without what comes more often than each so many milliseconds by elapsed time: it knows nothing of local time."""

    def is_often(entry: StaticEntry) -> bool:
        if not isinstance(entry.schedule, Every | Opaque):
            return False
        times = times_of(entry.spec, entry.schedule, entry.zone, Instant(0))
        first = times.next_after(Instant(0))
        return times.next_after(first) - first < at_least

    return {name: entry for name, entry in entries.items() if not is_often(entry)}


def changes(zone: str, year: int) -> list[Instant]:
    """The instants of a year at which the offset of a zone changes."""
    tz, start = ZoneInfo(zone), datetime(year, 1, 1, tzinfo=timezone.utc)
    moments = [start + timedelta(minutes=30 * n) for n in range(366 * 48)]
    offsets = [moment.astimezone(tz).utcoffset() for moment in moments]
    return [
        instant_of(m) for m, before, after in zip(moments[1:], offsets, offsets[1:], strict=False) if before != after
    ]


class IndexedRows(dict[str, StoredEntry]):
    """Rows that are found by the time at which they are ready."""

    def __init__(self) -> None:
        super().__init__()
        self.ready: list[tuple[int, str]] = []

    def __setitem__(self, key: str, entry: StoredEntry) -> None:
        super().__setitem__(key, entry)
        if entry.row.lane == Lane.ENTRIES:
            heapq.heappush(self.ready, (entry.row.ready_at, key))

    def first(self, now: int, limit: int) -> list[StoredEntry]:
        """What is ready, oldest first, at most ``limit``; and the next one."""
        found: dict[tuple[int, str], StoredEntry] = {}
        while self.ready and len(found) <= limit:
            at, key = heapq.heappop(self.ready)
            if key in self and self[key].row.ready_at == at:
                found[at, key] = self[key]
                if at > now:
                    break
        for where in found:
            heapq.heappush(self.ready, where)
        return list(found.values())


class IndexedStore(WatchedStore):
    """A `MemoryStore` whose claim does not look at every row: a day here has a hundred thousand claims."""

    def __init__(self, clock: FakeClock, space: Space) -> None:
        super().__init__(clock, space)
        space.namespaces.setdefault("ns", IndexedRows())

    def _ready(self, request: ClaimRequest) -> list[StoredEntry]:
        rows = self._rows
        assert isinstance(rows, IndexedRows)
        return rows.first(max(self.now(), request.seen), request.limit)


@dataclass
class Day:
    """What came of 26 hours: due times sent and expected by entry, the longest lag, messages per beat."""

    sent: dict[str, list[Instant]] = field(default_factory=dict)
    expected: dict[str, list[Instant]] = field(default_factory=dict)
    lag: int = 0
    by_beat: Counter[str] = field(default_factory=Counter)


def live_through(entries: Mapping[str, StaticEntry], change: Instant, seed: int, hours: int = 26) -> Day:
    """From half of the hours before the change to half of them after it."""
    start, end = Instant(change - hours * HOUR // 2), Instant(change + hours * HOUR // 2)
    rules = Rules(recent_runs=0)
    known = [Entry(e.name, e.schedule, rules, Origin.STATIC, zone=e.zone) for e in entries.values()]
    first = Desk(Book(known), start=start, store_type=IndexedStore)
    beats = [first, Desk(Book(known), first, "beat-2", store_type=IndexedStore)]
    Reconciler(first.store, first.book, Observers()).run()
    day = Day(expected=_expected(known, start, end))
    _run(beats, day, end, random.Random(seed))
    for beat in beats:
        for name, dues in beat.publisher.dues.items():
            day.sent.setdefault(name, []).extend(dues)
    return day


def _expected(entries: Sequence[Entry], start: Instant, end: Instant) -> dict[str, list[Instant]]:
    """What pure `next_after` yields."""
    expected = {}
    for entry in entries:
        times, dues, due = entry.times(start), list[Instant](), start
        while (due := times.next_after(due)) <= end:
            dues.append(due)
        expected[entry.name] = dues
    return expected


def _run(beats: Sequence[Desk], day: Day, end: Instant, rng: random.Random) -> None:
    clock = beats[0].clock
    turns = [(clock.now() + number, number) for number in range(len(beats))]
    while turns[0][0] <= end + POLL:
        at, number = turns[0]
        clock.advance(max(0, at - clock.now()) / 1000)
        beat, before = beats[number], len(beats[number].publisher.arrived)
        wait = beat.cycle(Lane.ENTRIES).wait_ms
        for message in beat.publisher.arrived[before:]:
            day.lag = max(day.lag, clock.now() - message.due_at)
        day.by_beat[beat.owner] += len(beat.publisher.arrived) - before
        pause = 1 if wait == 0 else wait + rng.randrange(POLL)
        heapq.heapreplace(turns, (clock.now() + pause, number))

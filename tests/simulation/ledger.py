"""What may be seen at each write and each arrival, told apart from what may not.

The ledger stands outside: it sees the writes that the store applied and the messages that the broker has, counts due
times by its own walk along the schedule, and knows nothing of plans. A broken promise raises :class:`Violation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from celery_pyncette.core.due_times import times_of
from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.policies import CatchUp, Rules
from celery_pyncette.core.records import Counters, Key, Lane, Record
from celery_pyncette.core.taking import DueTimes, OneTime
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.stores.protocol import Change, ClaimBatch, ClaimRequest
from tests.simulation.book import Entry, name_of
from tests.simulation.world import World


class Violation(BaseException):
    """A promise is broken; not an ``Exception``, so that no code under test can swallow it."""


#: An occurrence: the key, the how-many-eth entry of that name, the due time.
Fired = tuple[Key, int, Instant]


@dataclass(frozen=True, slots=True)
class Held:
    """A claim: when, what was in the store then, and the how-many-eth entry of that name it is."""

    at: Instant
    record: Record
    life: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message that the broker has."""

    owner: str
    claimed_at: Instant
    generation: str
    task_id: str


@dataclass(slots=True)
class Ledger:
    """See the module. ``lives`` counts how often an entry was made anew under a name.

    ``order`` False leaves the order of the steps alone, and sees only what comes of a wrong one.
    """

    world: World
    entries: dict[str, Entry]
    timings: dict[str, Entry] = field(default_factory=dict)
    current: dict[Key, Record] = field(default_factory=dict)
    held: dict[tuple[str, Key], Held] = field(default_factory=dict)
    arrivals: dict[Fired, list[Arrival]] = field(default_factory=dict)
    used: dict[Fired, tuple[str, Instant]] = field(default_factory=dict)
    vetoes: dict[Fired, Instant] = field(default_factory=dict)
    just_vetoed: dict[Key, tuple[str, Fired]] = field(default_factory=dict)
    unsaid: set[Fired] = field(default_factory=set)
    lives: dict[Key, int] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)
    writers: dict[Key, str] = field(default_factory=dict)
    read_at: dict[str, Instant] = field(default_factory=dict)
    latest: Instant = Instant(0)
    order: bool = True
    skipped: int = 0
    copies: int = 0

    def know(self, entry: Entry) -> None:
        self.timings[entry.timing] = entry

    def emptied(self) -> None:
        self.current.clear()

    def claimed(self, request: ClaimRequest, batch: ClaimBatch) -> None:
        self.latest = max(self.latest, batch.now)
        for record in batch.records:
            before = self.current[record.key]
            if before.lease is not None and before.lease.until > batch.now:
                raise Violation(f"{record.key} was given to {request.owner} under the lease of {before.lease}")
            self.current[record.key] = record
            self._touched(request.owner, record.key)
            self.writers[record.key] = request.owner
            self.held[request.owner, record.key] = Held(batch.now, record, self.lives[record.key])

    # --- messages ---

    def arrived(self, owner: str, message: Outgoing) -> None:
        key, due, ticket = message.ticket.key, message.due_at, message.ticket
        held = self.held[owner, key]
        if due > self.world.stage.now:
            raise Violation(f"{key} was sent before it was due")
        if held.record.generation != ticket.gen or held.record.removed:
            raise Violation(f"{key} was sent for a definition that was gone at the claim")
        if held.record.paused is not None and held.record.paused.until > held.at:
            raise Violation(f"{key} was sent while paused")
        before = self.arrivals.setdefault((key, held.life, due), [])
        self._not_vetoed((key, held.life, due))
        if self._rules(held.record).at_most_once:
            self._at_most_once((key, held.life, due), before)
        arrival = Arrival(owner, held.at, ticket.gen, ticket.task_id)
        if before:
            self._copy(key, due, before[-1], arrival)
        before.append(arrival)

    def vetoed(self, owner: str, message: Outgoing) -> None:
        """A middleware did not let it be sent."""
        key = message.ticket.key
        held = self.held[owner, key]
        fired = (key, held.life, message.due_at)
        self.vetoes[fired] = held.at
        if self.writers[key] == owner:
            self.just_vetoed[key] = (owner, fired)
        else:
            self.unsaid.add(fired)

    def _touched(self, owner: str, key: Key) -> None:
        """At most once, whoever comes between use and veto keeps the veto from being written: it counts as started."""
        vetoed_by, fired = self.just_vetoed.pop(key, (owner, None))
        if vetoed_by != owner and fired is not None:
            self.unsaid.add(fired)

    def _not_vetoed(self, fired: Fired) -> None:
        """What was vetoed may be sent by a beat that does not know; the veto is not written then."""
        at = self.vetoes.pop(fired, None)
        if at is not None and not self.world.anybody_troubled(at):
            raise Violation(f"{fired} was sent after a veto, and nothing had gone wrong")

    def _at_most_once(self, fired: Fired, before: list[Arrival]) -> None:
        if before:
            raise Violation(f"{fired[0]} was sent twice at most once")
        if self.order and fired not in self.used:
            raise Violation(f"{fired[0]} was sent before it was used up")

    def _copy(self, key: Key, due: Instant, first: Arrival, second: Arrival) -> None:
        self.copies += 1
        if (second.generation == first.generation) != (second.task_id == first.task_id):
            raise Violation(f"copies of {key} have other task ids")
        if not any(self.world.troubled(sender.owner, sender.claimed_at) for sender in (first, second)):
            raise Violation(f"{key} at {due} was sent again, and nothing had gone wrong")

    # --- writes ---

    def wrote(self, owner: str, change: Change, version: int, now: Instant) -> None:
        self.latest = max(self.latest, now)
        before, after = self.current.get(change.key), change.record
        if before is not None and before.write_id == change.write_id:
            return  # asked again, because the first answer was lost
        self.writers[change.key] = owner
        self._touched(owner, change.key)
        for child in change.creates:
            self._made(child)
            self.current[child.key] = replace(child, version=1, write_id=change.write_id)
        if after is None:
            if before is not None and owner.startswith("beat"):
                self._deleted(owner, before)
            self.current.pop(change.key, None)
            return
        if after.lane is not Lane.KEEPING:
            self._law(after)
            by_hand = before is not None and not (owner.startswith("beat") and before.generation == after.generation)
            if before is None or (by_hand and (before.removed or before.dead is not None)):
                self._made(after)
            elif by_hand:
                self._edited(owner, before, after)
            else:
                self._acted(owner, before, after)
        if change.lease_for is not None and after.lease is not None:
            after = replace(after, lease=replace(after.lease, until=Instant(now + change.lease_for)))
        self.current[change.key] = replace(after, version=version, write_id=change.write_id)

    def _made(self, after: Record) -> None:
        self.lives[after.key] = self.lives.get(after.key, 0) + 1
        self.names[after.key] = name_of(after)
        if after.due_at >= NEVER and after.spec.enabled:
            raise Violation(f"{after.key} was made, and is never due")

    def _law(self, after: Record) -> None:
        counters = after.counters
        if counters.expected != counters.started + counters.skipped + (after.run is not None):
            raise Violation(f"{after.key}: {counters} does not add up")
        if min(counters.expected, counters.started, counters.skipped) < 0:
            raise Violation(f"{after.key}: {counters} is below zero")

    def _edited(self, owner: str, before: Record, after: Record) -> None:
        was_due = before.due_at <= self.read_at.get(owner, 0)
        if was_due and after.due_at != before.due_at and after.spec.enabled and not after.removed:
            raise Violation(f"{after.key}: an edit lost what was due")
        if after.counters != before.counters or after.anchor != before.anchor:
            raise Violation(f"{after.key}: an edit changed counters or anchor")

    def _deleted(self, owner: str, before: Record) -> None:
        if before.lane is Lane.KEEPING or before.removed or before.dead is not None:
            return
        if not before.one_shot or self._fired(before, before.due_at) not in self.arrivals:
            raise Violation(f"{owner} deleted {before.key}, which was never sent")

    def _acted(self, owner: str, before: Record, after: Record) -> None:
        if after.due_at < before.due_at:
            self._put_back(before, after)
        elif after.due_at > before.due_at:
            self._took(owner, before, after)
        elif after.counters != before.counters:
            self._not_sent_after_all(owner, before, after)

    def _not_sent_after_all(self, owner: str, before: Record, after: Record) -> None:
        """A message that is never sent turns a start into a skip; nothing else counts and takes up nothing."""
        if difference(after.counters, before.counters) != Counters(0, -1, 1):
            raise Violation(f"{after.key}: counted something, and took up nothing")
        last = max(fired for fired, by in self.used.items() if fired[0] == after.key and by[0] == owner)
        if last in self.arrivals:
            raise Violation(f"{last} was skipped after it was sent")
        if last not in self.vetoes and before.spec.args != ("unbuildable",):
            raise Violation(f"{last} was skipped, and nothing says why")
        del self.used[last]

    def _put_back(self, before: Record, after: Record) -> None:
        occurrence = self._fired(after, after.due_at)
        if occurrence in self.arrivals or occurrence not in self.used:
            raise Violation(f"{after.key} at {after.due_at} was put back after it was sent")
        del self.used[occurrence]

    def _took(self, owner: str, before: Record, after: Record) -> None:
        added = difference(after.counters, before.counters)
        held = self.held[owner, before.key]
        if held.record.timing != before.timing:
            known = (*self.arrivals, *self.vetoes)
            fire = max((fired[2] for fired in known if fired[0] == before.key), default=before.due_at)
        else:
            dues = self._dues(before, min(after.due_at, Instant(self.latest + 1)))
            if after.spec.max_runs is not None and after.due_at >= NEVER:
                dues = dues[: added.expected]
            if len(dues) != added.expected:
                raise Violation(f"{after.key}: {len(dues)} were due, {added.expected} are accounted for")
            fire = dues[-1]
        if added.started:
            self._used_up(owner, before, fire, held.at)
        if added.skipped:
            self.skipped += added.skipped
            if self._fired(before, fire) in self.vetoes and not added.started:
                added = replace(added, started=1, skipped=added.skipped - 1)
            if added.skipped:
                self._may_skip(before, added, held)

    def _used_up(self, owner: str, before: Record, fire: Instant, claimed_at: Instant) -> None:
        fired = self._fired(before, fire)
        if self._rules(before).at_most_once:
            if fired in self.used:
                raise Violation(f"{before.key} at {fire} was used up twice")
        elif self.order and fired not in self.arrivals:
            raise Violation(f"{before.key} at {fire} was used up, and never sent")
        self.used[fired] = (owner, claimed_at)

    def _fired(self, record: Record, due: Instant) -> Fired:
        return record.key, self.lives[record.key], due

    def _may_skip(self, before: Record, added: Counters, held: Held) -> None:
        """Which occurrences may be skipped, by policy, pause, or a message that cannot be built."""
        rules = self._rules(before)
        if before.paused is not None or before.spec.args == ("unbuildable",):
            return
        if rules.catch_up is CatchUp.ALL:
            raise Violation(f"{before.key} skipped {added.skipped} under ALL")
        if rules.catch_up is CatchUp.LATEST and not added.started:
            raise Violation(f"{before.key} skipped the latest")
        if rules.catch_up is CatchUp.NONE:
            assert rules.grace is not None
            if self._dues(before, Instant(held.at + 1))[added.skipped - 1] + rules.grace >= held.at:
                raise Violation(f"{before.key} skipped what was within its grace")

    # --- at the end ---

    def settled(self, stored: list[Record], now: Instant, bound: int) -> None:
        """Everything has come to rest: nothing waits for longer than ``bound``, nothing was lost without a fault."""
        for record in stored:
            if record.lane is Lane.KEEPING:
                continue
            if record != self.current[record.key]:
                raise AssertionError(f"the ledger is wrong about {record.key}")
            if record.ready_at + bound < now:
                raise Violation(f"{record.key} has been ready for {now - record.ready_at} ms")
            waiting = record.paused is None and not record.removed and record.dead is None
            if waiting and record.due_at + bound < now:
                raise Violation(f"{record.key} has been due for {now - record.due_at} ms")
        for fired, (owner, claimed_at) in self.used.items():
            if claimed_at + bound < now and fired not in self.arrivals and fired not in self.unsaid:
                if not self.entries[self.names[fired[0]]].rules.at_most_once:
                    raise Violation(f"{fired} was used up and never sent")
                if not self.world.troubled(owner, claimed_at):
                    raise Violation(f"{fired} was used up and not sent, and nothing had gone wrong")

    def _rules(self, record: Record) -> Rules:
        return self.entries[name_of(record)].rules

    def times(self, record: Record) -> DueTimes:
        if record.key.startswith("o:") or record.body is not None:
            return OneTime(record.due_at)
        entry = self.timings[record.timing]
        return times_of(record.spec, entry.schedule, entry.zone, record.anchor)

    def _dues(self, record: Record, until: Instant) -> list[Instant]:
        """Every due time from the record's own to before ``until``, walked one by one."""
        times, due, found = self.times(record), record.due_at, list[Instant]()
        while due < until:
            found.append(due)
            due = times.next_after(due)
        return found


def difference(after: Counters, before: Counters) -> Counters:
    return Counters(after.expected - before.expected, after.started - before.started, after.skipped - before.skipped)
